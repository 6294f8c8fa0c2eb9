"""`tessera shortgpt score` of SmolLM2-135M beside Transformers with the official metric, in alternating rounds, 2 threads, fp32 and bf16.

The rival is icip-cas/ShortGPT's way in its fairest form: one window of 256 tokens a pass, output_hidden_states, one minus the cosine of
neighbouring states in float32, no head. Its full product of all pairs of tokens, whose diagonal alone is used, is replaced by row dots here.
Each round is a whole process: loading the same folder (safetensors), tokenising left out for the rival, scoring, ending. Both the seconds of
the process and the tokens a second of its scoring alone are compared; the limit of memory is the weights and 1.3 times one window's
activations.

Then what removal brings: decoding without 8 of 30 layers beside what the kept bytes allow (the dense model's speed times the ratio of the
bytes). And, where llama-cpp-python is in the oracle environment, the tokens a second of evaluating the same GGUF in windows of 512 with
all logits: the rival's time is that of llama_decode alone, ours has the losses in it."""
import glob
import json
import math
import os
import sys
import statistics
import tempfile
import time

from measure import PROGRAM, ROOT, alternate, child, finish, llama_gguf, prose, row

WINDOW, TOKENS, THREADS, ROUNDS = 256, 8192, 2, 5


def rival(folder, dtype, windows_file):
    """What a user of the official script runs; prints its seconds of scoring and its BI."""
    import torch
    import transformers
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", THREADS)))
    transformers.logging.set_verbosity_error()
    windows = json.load(open(windows_file))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    depth = model.config.num_hidden_layers
    start, sums, tokens = time.perf_counter(), torch.zeros(depth, dtype=torch.float64), 0
    with torch.no_grad():
        for window in windows:
            states = model.model(torch.tensor([window]), output_hidden_states=True, use_cache=False).hidden_states
            for i in range(depth):
                sums[i] += (1 - torch.cosine_similarity(states[i].float(), states[i + 1].float(), dim=-1)).sum().double()
            tokens += len(window)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "tokens_per_second": tokens / seconds, "bi": (sums / tokens).tolist()}))


def llama(gguf, windows_file):
    """llama.cpp by its C interface: one decode call a window, logits of every token."""
    import llama_cpp
    from llama_cpp import llama_cpp as api
    windows = json.load(open(windows_file))
    model = llama_cpp.Llama(gguf, n_ctx=len(windows[0]), n_batch=len(windows[0]), n_ubatch=len(windows[0]), n_threads=THREADS,
                            n_threads_batch=THREADS, logits_all=True, verbose=False)
    seconds = []
    for window in windows:
        model.reset()
        model._ctx.kv_cache_clear()
        start = time.perf_counter()
        model._batch.set_batch(batch=window, n_past=0, logits_all=True)
        model._ctx.decode(model._batch)
        api.llama_get_logits(model._ctx.ctx)  # waits for them
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"tokens_per_second": len(windows[0]) / statistics.median(seconds)}))


def numbers_of(folder):
    """How many numbers the folder's tensors hold, whatever their type."""
    count = 0
    for path in glob.glob(os.path.join(folder, "*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        count += sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    return count


def activations(folder):
    """Bytes of what one window has in memory at once: stream, norm, q k v, attended, and the three of the FFN, float32."""
    config = json.load(open(os.path.join(folder, "config.json")))
    return WINDOW * 4 * (6 * config["hidden_size"] + 3 * config["intermediate_size"])


def decoding(dense, folder, text):
    """Decode speed of the model without 8 layers and of the dense one, in turns: one row."""
    pruned = os.path.join(folder, "pruned")
    child([PROGRAM, "shortgpt", "prune", dense, "--calib", text, "--tokens", "4096", "--layers", "8", "--out", pruned, "--json"])
    rows = []
    for name in ("fp32", "bf16"):
        def speed(model, name=name):
            out, _, _ = child([PROGRAM, "generate", model, "-p", "The sea is", "-n", "96", "--dtype", name, "--threads", str(THREADS), "--json"])
            return json.loads(out)["timings"]["decode_tokens_per_second"]
        measured = alternate({"pruned": lambda: speed(pruned), "dense": lambda: speed(dense)}, rounds=ROUNDS)
        ideal = statistics.median(measured["dense"]) * numbers_of(dense) / numbers_of(pruned)
        rows.append(row(f"{name}, decoding without 8 of 30 layers", "tokens/s", measured["pruned"], {"dense": measured["dense"]}, True, ideal))
    return rows


def evaluating(oracle, ids, text, folder):
    """Evaluation of the GGUF beside llama.cpp; no row where that is not installed."""
    gguf = llama_gguf()
    if gguf is None:
        return []
    windows_file, count = os.path.join(folder, "long.json"), min(8, len(ids) // 512)
    with open(windows_file, "w") as out:
        json.dump([ids[512 * i:512 * (i + 1)] for i in range(count)], out)

    def ours(name):
        out, _, _ = child([PROGRAM, "eval", "perplexity", "smollm2", text, "--window", "512", "--windows", str(count), "--dtype", name, "--threads",
                           str(THREADS), "--json"])
        return json.loads(out)["tokens_per_second"]

    def theirs():
        return json.loads(child([oracle, os.path.abspath(__file__), "--llama", gguf, windows_file])[0])["tokens_per_second"]

    measured = alternate({"fp32": lambda: ours("fp32"), "bf16": lambda: ours("bf16"), "llama.cpp": theirs}, rounds=ROUNDS)
    return [row(f"{name}, evaluating the Q4_1 GGUF", "tokens/s", measured[name], {"llama.cpp": measured["llama.cpp"]}, True)
            for name in ("fp32", "bf16")]


def main():
    oracle = os.path.join(ROOT, ".venv-parity", "bin", "python")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        text, model = prose(folder, TOKENS * 6), os.path.join(folder, "model")
        child([PROGRAM, "convert", "smollm2", model, "--json"])
        ids = json.loads(child([PROGRAM, "tokenize", model, text, "--json"])[0])["ids"][:TOKENS]
        windows_file = os.path.join(folder, "windows.json")
        with open(windows_file, "w") as out:
            json.dump([ids[i:i + WINDOW] for i in range(0, len(ids), WINDOW)], out)
        for dtype, name in (("float32", "fp32"), ("bfloat16", "bf16")):
            def ours(name=name):
                out, seconds, peak = child([PROGRAM, "shortgpt", "score", model, "--calib", text, "--tokens", str(TOKENS), "--window", str(WINDOW),
                                            "--last-state", "normed", "--dtype", name, "--threads", str(THREADS), "--json",
                                            "--out", tempfile.mkdtemp(dir=folder)])
                document = json.loads(out)
                return {"process": seconds, "peak": peak, "rate": document["tokens_per_second"], "bi": [l["bi"] for l in document["layers"]]}

            def theirs(dtype=dtype):
                out, seconds, peak = child([oracle, os.path.abspath(__file__), "--rival", model, dtype, windows_file],
                                           env={"OMP_NUM_THREADS": str(THREADS)})
                document = json.loads(out)
                return {"process": seconds, "peak": peak, "rate": document["tokens_per_second"], "bi": document["bi"]}

            measured = alternate({"ours": ours, "transformers": theirs}, rounds=ROUNDS)
            pick = lambda who, field: [m[field] for m in measured[who]]
            for case, unit, field, higher in (("scoring alone", "tokens/s", "rate", True), ("whole process", "s", "process", False),
                                              ("peak memory", "bytes", "peak", False)):
                limit = numbers_of(model) * (4 if name == "fp32" else 2) + 1.3 * activations(model) if field == "peak" else None
                rows.append(row(f"{name}, {case}", unit, pick("ours", field), {"transformers": pick("transformers", field)}, higher, limit))
            worst = max(abs(a - b) for a, b in zip(measured["ours"][0]["bi"], measured["transformers"][0]["bi"]))
            rows.append(row(f"{name}, largest difference of BI", "", [worst], {}, False))
        rows += decoding(model, folder, text)
        rows += evaluating(oracle, ids, text, folder)
    finish("shortgpt", rows)


if __name__ == "__main__":
    if "--rival" in sys.argv:
        rival(*sys.argv[2:5])
    elif "--llama" in sys.argv:
        llama(*sys.argv[2:4])
    else:
        main()

"""`tessera shortgpt score` of SmolLM2-135M beside Transformers with the official metric, in alternating rounds, 2 threads, fp32 and bf16.

The rival is icip-cas/ShortGPT's way in its fairest form: one window of 256 tokens a pass, output_hidden_states, one minus the cosine of
neighbouring states in float32, no head. Its full product of all pairs of tokens, whose diagonal alone is used, is replaced by row dots here.
Each round is a whole process: loading the same folder (safetensors), tokenising left out for the rival, scoring, ending. Both the seconds of
the process and the tokens a second of its scoring alone are compared."""
import glob
import html
import json
import os
import re
import sys
import tempfile
import time

from measure import PROGRAM, ROOT, alternate, child, finish, row

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


def prose(folder):
    pages = sorted(glob.glob("/usr/share/doc/anarchism/html/*.html"))[:12]
    text = "\n\n".join(html.unescape(re.sub(r"<[^>]+>|\s+", " ", open(p, encoding="utf-8", errors="replace").read())) for p in pages)
    text = re.sub(r" +", " ", text) or open("/usr/share/common-licenses/GPL-3", encoding="utf-8").read()
    path = os.path.join(folder, "text.txt")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text[:TOKENS * 6])
    return path


def main():
    oracle = os.path.join(ROOT, ".venv-parity", "bin", "python")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        text, model = prose(folder), os.path.join(folder, "model")
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
                rows.append(row(f"{name}, {case}", unit, pick("ours", field), {"transformers": pick("transformers", field)}, higher))
            worst = max(abs(a - b) for a, b in zip(measured["ours"][0]["bi"], measured["transformers"][0]["bi"]))
            rows.append(row(f"{name}, largest difference of BI", "", [worst], {}, False))
    finish("shortgpt", rows)


if __name__ == "__main__":
    if "--rival" in sys.argv:
        rival(*sys.argv[2:5])
    else:
        main()

"""Danube's model, Mistral with a sliding window, beside Transformers (sdpa) and llama.cpp: a training step, reading and writing with a cache,
and reading far beyond the window. 2 threads, alternating rounds.

Training: a Mistral of 9.8M parameters on rows of 1024 tokens with a window of 256, AdamW, against MistralForCausalLM with AdamW(fused=True);
ours is `tessera danube train` on real text, the tokens a second of its steps. Reading and writing: SmolLM2-135M's weights, a prompt of 512
tokens and 64 more, one prompt and eight, greedy; the rival is the model with its cache, head on the last token alone, without the cost of
its generate(). Far beyond the window: a prompt of 4096 tokens with a window of 512 in every layer. llama.cpp reads the same model's Q4_1 GGUF as
it is, which is a quarter of bf16's bytes; it is left out where llama-cpp-python is not in the oracle environment."""
import json
import os
import statistics
import sys
import tempfile
import time

from measure import PROGRAM, Worker, alternate, answer_requests, child, finish, llama_gguf, product_rate, prose, read_rate, row

THREADS, ROUNDS, STEPS, PROMPT, WRITTEN, LONG, WINDOW = 2, 5, 6, 512, 64, 4096, 512
TRAINED = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2,
           "sliding_window": 256}
ROWS, LENGTH, VOCAB = 4, 1024, 8192


def transformers_quiet():
    import torch
    import transformers
    torch.set_num_threads(THREADS)
    transformers.logging.set_verbosity_error()
    return torch, transformers


def training_worker():
    torch, transformers = transformers_quiet()
    torch.manual_seed(0)
    config = transformers.MistralConfig(vocab_size=VOCAB, max_position_embeddings=LENGTH, rms_norm_eps=1e-5, tie_word_embeddings=False, **TRAINED)
    model = transformers.MistralForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def steps(_):
        start = time.perf_counter()
        for _ in range(STEPS):
            ids = torch.randint(VOCAB, (ROWS, LENGTH))
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
        return {"rate": STEPS * ROWS * LENGTH / (time.perf_counter() - start)}

    answer_requests({"parameters": sum(p.numel() for p in model.parameters()), "attention": model.config._attn_implementation}, steps)


def reading_worker(folder, ids_file, dtype, window):
    """Requests: `products` and `reads` of the machine, else a batch size, with the number of tokens to read and to write."""
    torch, transformers = transformers_quiet()
    ids = json.load(open(ids_file))
    config = transformers.MistralConfig.from_pretrained(folder)
    config.sliding_window = int(window) or None
    model = transformers.MistralForCausalLM.from_pretrained(folder, config=config, dtype=getattr(torch, dtype)).eval()

    def answer(line):
        if line == "products":
            return {"rate": product_rate(dtype, THREADS)}
        if line == "reads":
            return {"rate": read_rate(THREADS)}
        batch, reads, writes = map(int, line.split())
        with torch.no_grad():
            start = time.perf_counter()
            out = model(torch.tensor([ids[:reads]] * batch), use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            read = time.perf_counter() - start
            start = time.perf_counter()
            for _ in range(writes):
                out = model(token, past_key_values=out.past_key_values, use_cache=True)
                token = out.logits[:, -1].argmax(-1, keepdim=True)
                token[0].item()
            written = time.perf_counter() - start
        return {"read": batch * reads / read, "written": batch * writes / written if writes else 0.0}

    answer_requests({"bytes": sum(p.nbytes for p in model.parameters()), "elements": sum(p.numel() for p in model.parameters()),
                     "attention": model.config._attn_implementation}, answer)


def llama_worker(gguf, ids_file):
    """llama.cpp by its C interface: the prompt in one call with the last logits, then one token a call."""
    import llama_cpp
    from llama_cpp import llama_cpp as api
    ids = json.load(open(ids_file))[:PROMPT]
    model = llama_cpp.Llama(gguf, n_ctx=PROMPT + WRITTEN, n_batch=PROMPT, n_ubatch=PROMPT, n_threads=THREADS, n_threads_batch=THREADS, verbose=False)
    vocabulary = model.n_vocab()

    def decode(tokens, past):
        model._batch.set_batch(batch=tokens, n_past=past, logits_all=False)
        model._ctx.decode(model._batch)
        logits = api.llama_get_logits_ith(model._ctx.ctx, -1)
        return max(range(0, vocabulary, 997), key=lambda i: logits[i])  # some token: the choice is not what is measured

    def answer(_):
        model.reset()
        model._ctx.kv_cache_clear()
        start = time.perf_counter()
        token = decode(ids, 0)
        read = time.perf_counter() - start
        start = time.perf_counter()
        for i in range(WRITTEN):
            token = decode([token], PROMPT + i)
        return {"read": PROMPT / read, "written": WRITTEN / (time.perf_counter() - start)}

    answer_requests({}, answer)


def trained(folder):
    """Our steps a round: a fresh short run of `danube train`."""
    config = os.path.join(folder, "config.json")
    with open(config, "w") as out:
        json.dump({"model": {**TRAINED, "max_position_embeddings": LENGTH, "tie_word_embeddings": False}, "vocab": VOCAB, "batch": ROWS * LENGTH,
                   "stages": [{"tokens": (STEPS + 3) * ROWS * LENGTH, "seq_len": LENGTH}], "schedule": {"peak": 1e-3}, "precision": "fp32"}, out)

    def measure():
        run = tempfile.mkdtemp(dir=folder)
        child([PROGRAM, "danube", "train", "--data", "copyright", "--config", config, "--threads", str(THREADS), "--out", run, "--force", "--json"])
        lines = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
        speeds = [line["train/tokens_per_second"] for line in lines if "train/loss" in line][3:]  # the first steps fill the caches
        return {"rate": statistics.harmonic_mean(speeds)}
    return measure


def training_rows(folder):
    peer = Worker(__file__, "training", threads=THREADS)
    measured = alternate({"ours": trained(folder), "transformers": lambda: peer.ask("steps")}, ROUNDS)
    peer.close()
    pick = {name: [m["rate"] for m in values] for name, values in measured.items()}
    return [row(f"fp32, training on rows of {LENGTH} with a window of 256", "tokens/s", pick["ours"],
                {f"transformers {peer.about['attention']}": pick["transformers"]}, True)]


def written(model, prompts, dtype, tokens):
    """One run of ours: tokens a second of reading and of writing, all prompts together."""
    out, _, _ = child([PROGRAM, "generate", model, "--batch-file", prompts, "-n", str(tokens), "--dtype", dtype, "--threads", str(THREADS), "--json"])
    timings = json.loads(out)["timings"]
    return {"read": timings["prompt_tokens_per_second"], "written": timings["decode_tokens_per_second"]}


def prompt_of(model, ids, count, copies, folder):
    """A file of `copies` equal lines whose text is the first `count` ids, or a few less."""
    path = os.path.join(folder, f"prompt-{count}-{copies}.txt")
    with open(path, "w") as out:
        out.write(" ".join(map(str, ids[:count])))
    text = child([PROGRAM, "tokenize", model, path, "--decode"])[0].strip()
    with open(path, "w", encoding="utf-8") as out:
        out.write((text + "\n") * copies)
    return path


def cache_rows(model, ids, ids_file, folder):
    rows = []
    for dtype, name in (("float32", "fp32"), ("bfloat16", "bf16")):
        peer = Worker(__file__, "reading", model, ids_file, dtype, "0", threads=THREADS)
        products, reads = peer.ask("products")["rate"], peer.ask("reads")["rate"]
        for batch in (1, 8):
            prompts = prompt_of(model, ids, PROMPT, batch, folder)
            measured = alternate({"ours": lambda: written(model, prompts, name, WRITTEN + 1),
                                  "transformers": lambda: peer.ask(f"{batch} {PROMPT} {WRITTEN}")}, ROUNDS)
            pick = lambda who, field: [m[field] for m in measured[who]]
            rows.append(row(f"{name}, {batch} x {PROMPT} tokens read", "tokens/s", pick("ours", "read"), {"transformers": pick("transformers", "read")}, True,
                            products / (2 * peer.about["elements"])))
            rows.append(row(f"{name}, {batch} x {WRITTEN} tokens written", "tokens/s", pick("ours", "written"),
                            {"transformers": pick("transformers", "written")}, True, batch * reads / peer.about["bytes"]))
        peer.close()
    return rows


def window_rows(model, ids, ids_file, folder):
    peer = Worker(__file__, "reading", model, ids_file, "float32", str(WINDOW), threads=THREADS)
    prompt = open(prompt_of(model, ids, LONG, 1, folder), encoding="utf-8").read().strip()

    def ours():
        out, _, _ = child([PROGRAM, "danube", "generate", model, "-p", prompt, "--window", str(WINDOW), "--max-new", "1", "--dtype", "fp32", "--threads",
                           str(THREADS), "--json"])
        return {"read": json.loads(out)["timings"]["prompt_tokens_per_second"]}

    measured = alternate({"ours": ours, "transformers": lambda: peer.ask(f"1 {LONG} 0")}, ROUNDS)
    peer.close()
    pick = {name: [m["read"] for m in values] for name, values in measured.items()}
    return [row(f"fp32, {LONG} tokens read with a window of {WINDOW}", "tokens/s", pick["ours"],
                {f"transformers {peer.about['attention']}": pick["transformers"]}, True)]


def llama_rows(model, ids, ids_file, folder):
    gguf = llama_gguf()
    if gguf is None:
        return []
    peer = Worker(__file__, "llama", gguf, ids_file, threads=THREADS)
    prompts = prompt_of(model, ids, PROMPT, 1, folder)
    measured = alternate({"ours": lambda: written("smollm2", prompts, "bf16", WRITTEN + 1), "llama.cpp": lambda: peer.ask("go")}, ROUNDS)
    peer.close()
    return [row(f"bf16 beside llama.cpp's Q4_1, {what}", "tokens/s", [m[field] for m in measured["ours"]],
                {"llama.cpp": [m[field] for m in measured["llama.cpp"]]}, True)
            for what, field in ((f"{PROMPT} tokens read", "read"), (f"{WRITTEN} tokens written", "written"))]


def main():
    with tempfile.TemporaryDirectory() as folder:
        text, model = prose(folder, LONG * 8), os.path.join(folder, "model")
        words = open(text, encoding="utf-8").read().split()
        with open(text, "w", encoding="utf-8") as out:
            out.write(" ".join(words))  # a prompt is a line
        child([PROGRAM, "convert", "smollm2", model, "--type", "F32", "--json"])
        ids = json.loads(child([PROGRAM, "tokenize", model, text, "--json"])[0])["ids"]
        ids_file = os.path.join(folder, "ids.json")
        with open(ids_file, "w") as out:
            json.dump(ids[:LONG], out)
        rows = training_rows(folder)
        rows += cache_rows(model, ids, ids_file, folder)
        rows += window_rows(model, ids, ids_file, folder)
        rows += llama_rows(model, ids, ids_file, folder)
    finish("danube", rows)


if __name__ == "__main__":
    workers = {"training": training_worker, "reading": reading_worker, "llama": llama_worker}
    if "--worker" in sys.argv:
        workers[sys.argv[2]](*sys.argv[3:])
    else:
        main()

"""Perplexity of SmolLM2-135M beside Transformers: tokens a second in alternating rounds, perplexity on the same windows, peak memory.

Transformers runs in a process of its own that loads once, eagerly as from_pretrained does, and then scores the same token ids on demand: one
pass a batch of windows, logits in float32, cross entropy. Its batch is the fastest of 1 and 4 windows. Ours is the program, loading included in
its memory and excluded from its tokens a second, as for the rival."""
import json
import os
import sys
import tempfile
import time

from measure import PROGRAM, Worker, alternate, answer_requests, child, finish, product_rate, prose, row

MODEL, WINDOW, WINDOWS, THREADS, ROUNDS = "smollm2", 512, 16, 2, 5


def rival_model(folder, dtype):
    import torch
    import transformers
    torch.set_num_threads(THREADS)
    transformers.logging.set_verbosity_error()
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


def rival_round(model, windows, batch):
    import torch
    start, nats = time.perf_counter(), 0.0
    with torch.no_grad():
        for begin in range(0, len(windows), batch):
            ids = torch.tensor(windows[begin:begin + batch])
            logits = model(ids).logits[:, :-1].float()
            nats += torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="sum").item()
    scored = len(windows) * (len(windows[0]) - 1)
    return {"tokens_per_second": scored / (time.perf_counter() - start), "nats_per_token": nats / scored}


def worker(folder, dtype, windows_file):
    """Answers one line a request: a batch size measures, `rate` gives the product rate."""
    windows = json.load(open(windows_file))
    model = rival_model(folder, dtype)
    flops = 2 * sum(p.numel() for n, p in model.named_parameters())  # a token's products; the tied embedding counts once, as the head
    answer_requests({"flops_per_token": flops},
                    lambda line: {"rate": product_rate(dtype, THREADS)} if line == "rate" else rival_round(model, windows, int(line)))


def ours(text, dtype):
    def measure():
        out, _, peak = child([PROGRAM, "eval", "perplexity", MODEL, text, "--window", str(WINDOW), "--windows", str(WINDOWS), "--dtype", dtype,
                              "--threads", str(THREADS), "--json"])
        return {**json.loads(out), "peak": peak}
    return measure


def values(measured, field):
    return [m[field] for m in measured]


def speed_rows(case, mine, rivals, rate, flops):
    """One row a case; perplexities beside each other in rows of their own."""
    limit = rate / flops
    rows = [row(f"{case}, tokens a second", "tokens/s", values(mine, "tokens_per_second"),
                {name: values(m, "tokens_per_second") for name, m in rivals.items()}, True, limit)]
    rows.append(row(f"{case}, mean loss", "nats/token", values(mine, "nats_per_token"),
                    {name: values(m, "nats_per_token") for name, m in rivals.items()}, False))
    return rows


def compare(folder, text, windows_file):
    """All rows: both dtypes alternate in the same rounds, so that every ratio comes from one stretch of time."""
    bf16 = "avx512_bf16" in open("/proc/cpuinfo").read() or "amx_bf16" in open("/proc/cpuinfo").read()
    peers = {"float32": Worker(__file__, folder, "float32", windows_file, threads=THREADS)}
    if bf16:
        peers["bfloat16"] = Worker(__file__, folder, "bfloat16", windows_file, threads=THREADS)
    batch = {d: max((1, 4), key=lambda b, p=p: max(p.ask(b)["tokens_per_second"] for _ in range(2))) for d, p in peers.items()}
    rate = {d: p.ask("rate")["rate"] for d, p in peers.items()}
    rounds = {f"rival {d}": (lambda p=p, d=d: p.ask(batch[d])) for d, p in peers.items()}
    rounds["ours fp32"] = ours(text, "fp32")
    if bf16:
        rounds["ours bf16"] = ours(text, "bf16")
    measured = alternate(rounds, ROUNDS)
    flops = peers["float32"].about["flops_per_token"]
    peaks = {d: p.close() for d, p in peers.items()}
    fp32 = measured["rival float32"]
    rows = speed_rows("fp32", measured["ours fp32"], {"transformers fp32": fp32}, rate["float32"], flops)
    if bf16:
        rows += speed_rows("bf16 beside fp32", measured["ours bf16"], {"transformers fp32": fp32}, rate["bfloat16"], flops)
        rows += speed_rows("bf16", measured["ours bf16"], {"transformers bf16": measured["rival bfloat16"]}, rate["bfloat16"], flops)
    for name, dtype in (("fp32", "float32"), ("bf16", "bfloat16")):
        if dtype in peaks:
            rows.append(row(f"{name}, peak memory", "MB", [p / 1e6 for p in values(measured[f"ours {name}"], "peak")],
                            {f"transformers {name}": [peaks[dtype] / 1e6]}, False))
    return rows


def main():
    with tempfile.TemporaryDirectory() as scratch:
        text, windows_file, folder = prose(scratch, WINDOW * WINDOWS * 8), os.path.join(scratch, "windows.json"), os.path.join(scratch, "model")
        ids = json.loads(child([PROGRAM, "tokenize", MODEL, text, "--json"])[0])["ids"]
        if len(ids) < WINDOW * WINDOWS:
            sys.exit(f"the text has {len(ids)} tokens, {WINDOW * WINDOWS} are needed; apt-get install debian-handbook")
        json.dump([ids[i * WINDOW:(i + 1) * WINDOW] for i in range(WINDOWS)], open(windows_file, "w"))
        # The GGUF's weights, dequantised once, as the folder that a user of Transformers would have.
        child([PROGRAM, "convert", MODEL, folder, "--type", "F32"])
        finish("perplexity", compare(folder, text, windows_file))


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker(*sys.argv[2:5])
    else:
        main()

"""Training a Llama of 8.5M parameters beside Transformers: tokens a second in alternating rounds, peak memory, the share of the machine's
product limit.

The rival runs in processes of its own: LlamaForCausalLM, eager as from_config gives it, its own loss, AdamW(fused=True), gradients clipped at
1; fp32, and bf16 autocast over fp32 weights, which is what its Trainer does with bf16=True. Ours is the program on real text, with its own
metrics: the tokens a second of its steps, without the start. Both see batches of 8 x 256 tokens and take AdamW steps; ours draws its rows
from the corpus inside the step."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from measure import PROGRAM, Worker, alternate, answer_requests, child, finish, product_rate, row

ROWS, LENGTH, VOCAB, THREADS, ROUNDS, STEPS = 8, 256, 8192, 2, 5, 8
SHAPE = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 8,
         "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "tie_word_embeddings": True}


def worker(precision):
    """One line a request: some steps, or `rate`, the products a second of the machine."""
    import torch
    import transformers
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=VOCAB, **SHAPE)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step():
        ids = torch.randint(VOCAB, (ROWS, LENGTH))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def steps():
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        return {"tokens_per_second": STEPS * ROWS * LENGTH / (time.perf_counter() - start)}

    def rate():
        return {"rate": product_rate("bfloat16" if precision == "bf16" else "float32", THREADS)}

    answer_requests({"parameters": sum(p.numel() for p in model.parameters())}, lambda line: rate() if line == "rate" else steps())


def command(out, precision, steps):
    return [PROGRAM, "train", "--data", "copyright", "--model", "small", "--vocab", str(VOCAB), "--length", str(LENGTH), "--batch",
            str(ROWS * LENGTH), "--tokens", str(steps * ROWS * LENGTH), "--dtype", precision, "--threads", str(THREADS), "--held-out", "0",
            "--save-every", "1000000", "--out", out, "--json"]


def prepared(scratch, precision):
    """A run whose tokenizer and tokens are made; later runs start from copies, so that they measure steps alone."""
    out = os.path.join(scratch, f"base-{precision}")
    document = json.loads(child(command(out, precision, 1))[0])
    return out, document["parameters"]


def ours(scratch, base, precision):
    def measure():
        out = tempfile.mkdtemp(dir=scratch)
        for part in ("data", "tokenizer"):
            subprocess.run(["cp", "-r", os.path.join(base, part), out], check=True)
        _, _, peak = child(command(out, precision, STEPS + 3) + ["--resume"])
        lines = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
        speeds = [line["train/tokens_per_second"] for line in lines if "train/loss" in line][3:]  # the first steps make the states
        return {"tokens_per_second": statistics.harmonic_mean(speeds), "peak": peak}
    return measure


def main():
    bf16 = any(flag in open("/proc/cpuinfo").read() for flag in ("avx512_bf16", "amx_bf16"))
    precisions = ("fp32", "bf16") if bf16 else ("fp32",)
    with tempfile.TemporaryDirectory() as scratch:
        base = {p: prepared(scratch, p) for p in precisions}
        peers = {p: Worker(__file__, p, threads=THREADS) for p in precisions}
        rounds = {f"rival {p}": (lambda p=p: peers[p].ask("steps")) for p in precisions}
        rounds.update({f"ours {p}": ours(scratch, base[p][0], p) for p in precisions})
        measured = alternate(rounds, ROUNDS)
        rates = {p: peers[p].ask("rate")["rate"] for p in precisions}
        peaks = {p: peers[p].close() for p in precisions}
    parameters = base["fp32"][1]
    assert abs(parameters / peers["fp32"].about["parameters"] - 1) < 0.02, "both train the same model"
    flops = 6 * parameters + 6 * SHAPE["num_hidden_layers"] * SHAPE["hidden_size"] * LENGTH  # a token: products, causal attention
    speed = {name: [m["tokens_per_second"] for m in values] for name, values in measured.items()}
    rows = []
    for p in precisions:
        rows.append(row(f"{p}, tokens a second", "tokens/s", speed[f"ours {p}"], {f"transformers {p}": speed[f"rival {p}"]}, True,
                        rates[p] / flops))
    if bf16:
        rows.append(row("bf16 beside fp32, tokens a second", "tokens/s", speed["ours bf16"], {"transformers fp32": speed["rival fp32"]}, True))
    for p in precisions:
        rows.append(row(f"{p}, peak memory", "MB", [m["peak"] / 1e6 for m in measured[f"ours {p}"]], {f"transformers {p}": [peaks[p] / 1e6]},
                        False))
    finish("train", rows)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker(sys.argv[2])
    else:
        main()

"""Optimizer updates beside what a user would take instead: galore-torch, LibTorch's fused AdamW, the 8-bit rule as plain operations.

    .venv-parity/bin/python bench/galore.py [--rounds 5] [--program build/bin/bench_optim] [--json]

The 60M configuration (32000 x 512 embedding and head, 8 layers of 512 / 1376) at rank 128: an update with the subspaces' share at T = 200, the
mean of 199 plain updates and one refresh. Elementwise rules: one matrix of 32 Mi elements; the limit is what a copy moves a second.
"""
import argparse
import json
import os
import statistics
import sys
import time

from measure import ROOT, alternate, child, finish, row

sys.path.pop(0)  # this folder's tokenize would hide Python's own from torch

GAP = 200


def ours(program, *words):
    return json.loads(child([program, *map(str, words)])[0])


def theirs_60m():
    import torch
    from galore_torch import GaLoreAdamW
    shapes = [(32000, 512)] * 2 + ([(512, 512)] * 4 + [(1376, 512)] * 2 + [(512, 1376)]) * 8
    torch.manual_seed(1)
    weights = [torch.nn.Parameter(torch.randn(s)) for s in shapes]
    for w in weights:
        w.grad = torch.randn(w.shape)
    galore = {"rank": 128, "update_proj_gap": 2, "scale": 0.25, "proj_type": "std"}
    optimizer = GaLoreAdamW([{"params": weights[:2]}, {"params": weights[2:], **galore}], lr=1e-3, no_deprecation_warning=True)
    refresh, plain = [], []
    for step in range(4):
        start = time.perf_counter()
        optimizer.step()
        (plain if step % 2 else refresh).append(time.perf_counter() - start)
    return ((GAP - 1) * plain[-1] + refresh[-1]) / GAP


def ours_60m(program, svd):
    t = ours(program, "galore", svd, 1)
    return ((GAP - 1) * statistics.median(t["plain"]) + statistics.median(t["refresh"])) / GAP


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "bin", "bench_optim"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    ways = {svd: (lambda svd=svd: ours_60m(options.program, svd)) for svd in ("gram", "exact", "randomized")}
    measured = alternate({**ways, "galore-torch": theirs_60m}, options.rounds, warm_up=0)
    rival = measured.pop("galore-torch")
    for svd, seconds in measured.items():
        rows.append(row(f"60M update, T = {GAP}, --svd {svd}", "s", seconds, {"galore-torch": rival}, False))
    single = lambda name: statistics.median(ours(options.program, name, 5)["seconds"])
    measured = alternate({name: (lambda name=name: single(name)) for name in ("adamw", "fused", "adamw8bit", "composition8bit", "copy")}, options.rounds)
    elements = 32 * 1024 * 1024
    rate = elements * 8 / statistics.median(measured["copy"])  # bytes a second: read and written
    rows.append(row("AdamW, 32 Mi elements", "s", measured["adamw"], {"LibTorch fused": measured["fused"]}, False, elements * 28 / rate))
    rows.append(row("8-bit AdamW, 32 Mi elements", "s", measured["adamw8bit"], {"LibTorch operations": measured["composition8bit"]}, False, elements * 16.06 / rate))
    finish("galore", rows)


main()

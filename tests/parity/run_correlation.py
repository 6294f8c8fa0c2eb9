"""Golden numbers of the rank correlations, from their definitions in numpy: Pearson by corrcoef, Spearman as Pearson of mean ranks, Kendall's
tau-b by counting all pairs. Writes golden/run_correlation.json; with --check compares with it instead."""
import json
import pathlib
import sys

import numpy as np

OUT = pathlib.Path(__file__).parent / "golden" / "run_correlation.json"


def mean_ranks(x):
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x])


def tau_b(x, y):
    dx, dy = np.sign(x[:, None] - x[None, :]), np.sign(y[:, None] - y[None, :])
    return (dx * dy).sum() / np.sqrt((dx * dx).sum() * (dy * dy).sum())


def cases():
    random = np.random.default_rng(5)
    for n, kind in [(2, "plain"), (3, "ties"), (10, "plain"), (30, "ties"), (30, "noisy"), (101, "ties"), (64, "offset"), (7, "equal")]:
        x = random.normal(size=n)
        y = x + random.normal(size=n) * (3 if kind == "noisy" else 0.5)
        if kind == "ties":
            x, y = np.round(x * 2), np.round(y)
        if kind == "offset":
            x = x * 1e-3 + 1e6
        if kind == "equal":
            y = x
        yield kind, x, y


rows = [{"kind": kind, "x": x.tolist(), "y": y.tolist(), "pearson": float(np.corrcoef(x, y)[0, 1]),
         "spearman": float(np.corrcoef(mean_ranks(x), mean_ranks(y))[0, 1]), "kendall": float(tau_b(x, y)), "ranks_x": mean_ranks(x).tolist()}
        for kind, x, y in cases()]
if "--check" in sys.argv:
    for stored, made in zip(json.loads(OUT.read_text())["cases"], rows, strict=True):
        for name in ("pearson", "spearman", "kendall"):
            assert abs(stored[name] - made[name]) < 1e-9, (made["kind"], name, stored[name], made[name])
else:
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"numpy": np.__version__, "cases": rows}) + "\n")

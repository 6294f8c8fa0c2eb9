"""GPTQ golden: a direct float64 transcription of the algorithm's definition (arXiv 2210.17323, algorithm 1), column by column.

Writes golden/gptq.safetensors: a weight, calibration inputs, and codes, scales and zeros with and without act-order.
"""
import numpy as np
from golden_file import settle

GROUP, LEVELS = 32, 15


def levels(group):
    low, high = np.minimum(group.min(1), 0), np.maximum(group.max(1), 0)
    scale = np.where(high > low, (high - low) / LEVELS, 1.0)
    return scale, np.round(-low / scale)


def gptq(weight, hessian, order):
    w = weight[:, order].copy()
    h = hessian[np.ix_(order, order)].copy()
    h[np.diag_indices_from(h)] += 0.01 * np.diag(h).mean()
    factor = np.linalg.cholesky(np.linalg.inv(h)).T
    codes = np.empty_like(w)
    scales, zeros = [], []
    for i in range(w.shape[1]):
        if i % GROUP == 0:
            scale, zero = levels(w[:, i:i + GROUP])
            scales.append(scale)
            zeros.append(zero)
        codes[:, i] = np.clip(np.round(w[:, i] / scale) + zero, 0, LEVELS)
        error = (w[:, i] - scale * (codes[:, i] - zero)) / factor[i, i]
        w[:, i + 1:] -= np.outer(error, factor[i, i + 1:])
    back = np.argsort(order)
    return {"codes": codes[:, back].astype(np.uint8), "scales": np.stack(scales, 1).astype(np.float32),
            "zeros": np.stack(zeros, 1).astype(np.float32)}


def made():
    random = np.random.default_rng(7)
    weight = random.normal(size=(24, 80)).astype(np.float32)  # the last group is short: 16 columns
    mix = random.normal(size=(80, 80)) / 9 + np.diag(random.uniform(0.2, 3, size=80))
    inputs = (random.normal(size=(200, 80)) @ mix).astype(np.float32)
    hessian = 2 * inputs.astype(np.float64).T @ inputs.astype(np.float64)
    golden = {"weight": weight, "inputs": inputs}
    orders = {"plain": np.arange(80), "act_order": np.argsort(-np.diag(hessian), kind="stable")}
    for name, order in orders.items():
        for key, value in gptq(weight.astype(np.float64), hessian, order).items():
            golden[f"{name}.{key}"] = np.ascontiguousarray(value)
    return golden


if __name__ == "__main__":
    settle("gptq", made, {"numpy": np.__version__})

"""Golden steps of optimizers: torch.optim (AdamW, SGD, Muon), Transformers' Adafactor, and galore-torch (AdamW, Adafactor).

Writes golden/optim.safetensors: for each shape `start.S`, three gradient bases `base.S.0..2` (the gradient of step t = 1..50 is
cos(t) b0 + sin(1.3 t) b1 + cos(0.7 t + 1) b2), and `CASE.S` = the weights after 50 steps of rate 0.01. bitsandbytes' 8-bit maps: `map.signed`,
`map.unsigned`. Muon's Newton-Schulz runs in float32 here, as ours does; torch's own rounds it to bfloat16.
"""
import math

import bitsandbytes
import galore_torch
import torch
import transformers
from bitsandbytes.functional import create_dynamic_map
from golden_file import settle
from transformers.optimization import Adafactor

SHAPES = [(12, 7), (7, 12), (9, 9), (20, 5), (6, 30), (16, 15)]
LR, STEPS, GALORE = 0.01, 50, {"rank": 4, "update_proj_gap": 10, "scale": 0.25, "proj_type": "std"}


def gradient(bases, t):
    return math.cos(t) * bases[0] + math.sin(1.3 * t) * bases[1] + math.cos(0.7 * t + 1) * bases[2]


def run(make, start, bases, group=None):
    weight = torch.nn.Parameter(start.clone())
    optimizer = make([{"params": [weight], **(group or {})}])
    for t in range(1, STEPS + 1):
        weight.grad = gradient(bases, t)
        optimizer.step()
    return weight.detach()


CASES = {
    "adamw": (lambda p: torch.optim.AdamW(p, lr=LR, weight_decay=0.1), None),
    "sgd": (lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9), None),
    "sgd_nesterov": (lambda p: torch.optim.SGD(p, lr=LR, momentum=0.8, nesterov=True), None),
    "muon": (lambda p: torch.optim.Muon(p, lr=LR, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), None),
    "muon_spectral": (lambda p: torch.optim.Muon(p, lr=LR, weight_decay=0.0, nesterov=False, adjust_lr_fn="original"), None),
    "adafactor": (lambda p: Adafactor(p, lr=LR, scale_parameter=False, relative_step=False, weight_decay=0.1), None),
    "adafactor_relative": (lambda p: Adafactor(p, scale_parameter=True, relative_step=True, beta1=0.9), None),
    "galore_adamw": (lambda p: galore_torch.GaLoreAdamW(p, lr=LR, no_deprecation_warning=True), GALORE),
    "galore_adamw_decay": (lambda p: galore_torch.GaLoreAdamW(p, lr=LR, weight_decay=0.1, no_deprecation_warning=True), GALORE),
    "galore_adamw_reverse": (lambda p: galore_torch.GaLoreAdamW(p, lr=LR, no_deprecation_warning=True), {**GALORE, "proj_type": "reverse_std"}),
    "galore_adamw_full": (lambda p: galore_torch.GaLoreAdamW(p, lr=LR, no_deprecation_warning=True), {**GALORE, "proj_type": "full"}),
    "galore_adafactor": (lambda p: galore_torch.GaLoreAdafactor(p, lr=LR, scale_parameter=False, relative_step=False), GALORE),
    "galore_adafactor_decay": (
        lambda p: galore_torch.GaLoreAdafactor(p, lr=LR, scale_parameter=False, relative_step=False, weight_decay=0.1), GALORE),
}


def goldens():
    torch.manual_seed(5)
    torch.set_num_threads(1)
    torch.Tensor.bfloat16 = lambda tensor: tensor.float().clone()
    golden = {"map.signed": create_dynamic_map(signed=True), "map.unsigned": create_dynamic_map(signed=False)}
    for shape in SHAPES:
        key = "x".join(map(str, shape))
        start, bases = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
        golden[f"start.{key}"] = start
        golden.update({f"base.{key}.{i}": base for i, base in enumerate(bases)})
        for name, (make, group) in CASES.items():
            golden[f"{name}.{key}"] = run(make, start, bases, group)
    return golden


settle("optim", goldens, {"torch": torch.__version__, "transformers": transformers.__version__, "galore_torch": "1.0",
                          "bitsandbytes": bitsandbytes.__version__}, rtol=1e-3, atol=1e-4)

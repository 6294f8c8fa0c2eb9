"""A golden file of numbers, golden/NAME.safetensors: written by its script, or with --check made anew and compared."""
import pathlib
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file


def next_token_loss(logits, ids):
    """The mean cross entropy of every token but the first, from logits [B, T, V] and ids [B, T]."""
    import torch
    return torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def settle(name, make, versions, rtol=1e-4, atol=1e-5):
    """make() returns {key: array or tensor}; versions: what made them, kept in the file. Raises AssertionError where --check finds another."""
    path = pathlib.Path(__file__).parent / "golden" / f"{name}.safetensors"
    new = {key: np.array(value.detach() if hasattr(value, "detach") else value, order="C") for key, value in make().items()}
    if "--check" not in sys.argv:
        save_file(new, path, metadata={**versions, "safetensors": safetensors.__version__})
        return
    old = load_file(path)
    assert old.keys() == new.keys(), old.keys() ^ new.keys()
    for key in new:
        assert np.allclose(old[key], new[key], rtol=rtol, atol=atol), key

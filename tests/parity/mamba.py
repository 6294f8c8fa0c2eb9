"""Mamba golden: logits, loss and gradients of a tiny random MambaForCausalLM (the slow, pure-torch path of Transformers).

Writes golden/mamba.safetensors: the checkpoint's tensors by name, `ids`, `logits`, `loss`, `grad.<name>`.
"""
import json
import pathlib
import sys

import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import MambaConfig, MambaForCausalLM


def main(write=False):
    torch.manual_seed(11)
    torch.set_num_threads(1)
    config = MambaConfig(vocab_size=61, hidden_size=24, num_hidden_layers=3, state_size=5, conv_kernel=4, expand=2, time_step_rank=3,
                         use_mambapy=False, tie_word_embeddings=True, pad_token_id=0, bos_token_id=0, eos_token_id=0)
    model = MambaForCausalLM(config).float()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the neutral values of a fresh model
            parameter.add_(0.1 * torch.randn_like(parameter))
    ids = torch.randint(0, 61, (2, 13))
    out = model(ids, use_cache=False)
    loss = torch.nn.functional.cross_entropy(out.logits[:, :-1].reshape(-1, 61), ids[:, 1:].reshape(-1))
    loss.backward()
    golden = {"ids": ids, "logits": out.logits.detach(), "loss": loss.detach().reshape(1)}
    for name, parameter in model.named_parameters():
        golden[name] = parameter.detach()
        golden["grad." + name] = parameter.grad
    path = pathlib.Path(__file__).parent / "golden" / "mamba.safetensors"
    golden = {k: v.contiguous().clone() for k, v in golden.items()}
    if not write:
        return golden
    save_file(golden, path, metadata={
        "config": json.dumps(config.to_dict(), default=str), "torch": torch.__version__, "transformers": transformers.__version__,
        "safetensors": safetensors.__version__})
    return golden


def check():
    """Makes the golden anew beside the committed one and compares."""
    path = pathlib.Path(__file__).parent / "golden" / "mamba.safetensors"
    old = load_file(path)
    new = main()
    assert old.keys() == new.keys()
    for key in new:
        assert torch.allclose(old[key], new[key], rtol=1e-4, atol=1e-5), key


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        main(write=True)

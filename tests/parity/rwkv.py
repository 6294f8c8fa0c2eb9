"""RWKV golden: logits, loss, gradients, hidden states and caches of a tiny random RwkvForCausalLM.

Writes golden/rwkv.safetensors: the checkpoint's tensors by name, `ids`, `logits` (with the stream halved every second block, as Transformers
runs it), `hidden.<i>` the stream after embeddings and blocks (whole), `loss`, `grad.<name>`, `state.<i>` after the ids (5 of them), and
`removed.<i>` the logits without block i.
"""
import copy
import json
import pathlib
import sys

import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import RwkvConfig, RwkvForCausalLM


def without(model, index):
    """The model without one block, renumbered: what a pruned folder holds."""
    model = copy.deepcopy(model)
    blocks = model.rwkv.blocks
    pre_ln = blocks[0].pre_ln
    del blocks[index]
    blocks[0].pre_ln = pre_ln
    for i, block in enumerate(blocks):
        block.layer_id = block.attention.layer_id = block.feed_forward.layer_id = i
    model.rwkv.config.num_hidden_layers = model.config.num_hidden_layers = len(blocks)
    return model


def main(write=False):
    torch.manual_seed(12)
    torch.set_num_threads(1)
    config = RwkvConfig(vocab_size=61, hidden_size=24, num_hidden_layers=3, attention_hidden_size=24, intermediate_size=40, rescale_every=2,
                        context_length=64, bos_token_id=0, eos_token_id=0)
    model = RwkvForCausalLM(config).float().train()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the neutral values of a fresh model
            parameter.add_(0.2 * torch.randn_like(parameter))
    ids = torch.randint(0, 61, (2, 13))
    golden = {"ids": ids}
    for index in (0, 1):
        golden[f"removed.{index}"] = without(model, index).eval()(ids, use_cache=False).logits.detach()
    out = model(ids, use_cache=False, output_hidden_states=True)  # training: nothing is rescaled
    stream = [model.rwkv.blocks[0].pre_ln(model.rwkv.embeddings(ids))] + list(out.hidden_states[:-1])
    golden |= {f"hidden.{i}": x.detach() for i, x in enumerate(stream)}
    loss = torch.nn.functional.cross_entropy(out.logits[:, :-1].reshape(-1, 61), ids[:, 1:].reshape(-1))
    loss.backward()
    golden["loss"] = loss.detach().reshape(1)
    for name, parameter in model.named_parameters():
        golden[name] = parameter.detach().clone()
        golden["grad." + name] = parameter.grad
    with torch.no_grad():
        out = model.eval()(ids, use_cache=True)
    golden["logits"] = out.logits
    for i, state in enumerate(out.state):
        golden[f"state.{i}"] = state
    path = pathlib.Path(__file__).parent / "golden" / "rwkv.safetensors"
    golden = {k: v.detach().contiguous().clone() for k, v in golden.items()}
    if not write:
        return golden
    save_file(golden, path, metadata={
        "config": json.dumps(config.to_dict(), default=str), "torch": torch.__version__, "transformers": transformers.__version__,
        "safetensors": safetensors.__version__})
    return golden


def check():
    """Makes the golden anew beside the committed one and compares."""
    path = pathlib.Path(__file__).parent / "golden" / "rwkv.safetensors"
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

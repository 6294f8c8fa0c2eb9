"""RWKV golden: logits, loss, gradients, hidden states and caches of a tiny random RwkvForCausalLM.

Writes golden/rwkv.safetensors: the checkpoint's tensors by name, `ids`, `logits` (with the stream halved every second block, as Transformers
runs it), `hidden.<i>` the stream after embeddings and blocks (whole), `loss`, `grad.<name>`, `state.<i>` after the ids (5 of them), and
`removed.<i>` the logits without block i.
"""
import copy
import json

import torch
import transformers
from golden_file import next_token_loss, settle
from transformers import RwkvConfig, RwkvForCausalLM

CONFIG = RwkvConfig(vocab_size=61, hidden_size=24, num_hidden_layers=3, attention_hidden_size=24, intermediate_size=40, rescale_every=2,
                    context_length=64, bos_token_id=0, eos_token_id=0)


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


def golden():
    torch.manual_seed(12)
    torch.set_num_threads(1)
    model = RwkvForCausalLM(CONFIG).float().train()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the neutral values of a fresh model
            parameter.add_(0.2 * torch.randn_like(parameter))
    ids = torch.randint(0, 61, (2, 13))
    made = {"ids": ids}
    for index in (0, 1):
        made[f"removed.{index}"] = without(model, index).eval()(ids, use_cache=False).logits
    out = model(ids, use_cache=False, output_hidden_states=True)  # training: nothing is rescaled
    stream = [model.rwkv.blocks[0].pre_ln(model.rwkv.embeddings(ids))] + list(out.hidden_states[:-1])
    made |= {f"hidden.{i}": x for i, x in enumerate(stream)}
    loss = next_token_loss(out.logits, ids)
    loss.backward()
    made["loss"] = loss.reshape(1)
    for name, parameter in model.named_parameters():
        made[name] = parameter.detach().clone()
        made["grad." + name] = parameter.grad
    with torch.no_grad():
        out = model.eval()(ids, use_cache=True)
    made["logits"] = out.logits
    for i, state in enumerate(out.state):
        made[f"state.{i}"] = state
    return made


if __name__ == "__main__":
    settle("rwkv", golden, {"config": json.dumps(CONFIG.to_dict(), default=str), "torch": torch.__version__,
                            "transformers": transformers.__version__})

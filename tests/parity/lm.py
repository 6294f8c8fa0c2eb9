"""Golden files of the language-model runtime: tiny random models of every architecture, made and run by Transformers.

    .venv-parity/bin/python tests/parity/lm.py                     writes tests/parity/golden/lm_<case>/
    .venv-parity/bin/python tests/parity/lm.py --check             makes them anew and compares; then the real weights that are installed
    .venv-parity/bin/python tests/parity/lm.py --check FOLDER      a folder written by Tessera gives the logits of its golden case
    .venv-parity/bin/python tests/parity/lm.py --live MODEL.gguf   logits and 64 greedy tokens of real weights

Each case holds config.json, model.safetensors (bfloat16 values, so that every reader has them exactly) and golden.safetensors:
  ids [2, 24], logits [2, 24, V] without a cache, padded_mask and padded_logits (the second sequence padded by five on the left),
  greedy [2, 12] continuations of the first eight ids, loss and gradients of a few parameters.
"""
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch
import transformers
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
PROGRAM = Path(os.environ.get("TESSERA_PROGRAM", HERE.parents[1] / "build/bin/tessera"))
LIVE_MODELS = ("smollm2", "gemma3-270m")
COMMON = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, attn_implementation="eager")


def cases():
    t = transformers
    yield "llama", t.LlamaConfig(**COMMON, tie_word_embeddings=True)
    yield "llama_bias_wide_heads", t.LlamaConfig(**COMMON, head_dim=12, attention_bias=True, mlp_bias=True, tie_word_embeddings=False)
    scaling = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
    yield "llama3_rope", t.LlamaConfig(**COMMON, rope_parameters=dict(scaling, rope_theta=500.0), tie_word_embeddings=False)
    yield "llama_linear_rope", t.LlamaConfig(**COMMON, rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0))
    yield "mistral", t.MistralConfig(**COMMON, sliding_window=6)
    yield "qwen2", t.Qwen2Config(**COMMON, use_sliding_window=True, sliding_window=7, max_window_layers=1)
    yield "gemma3", t.Gemma3TextConfig(**dict(COMMON, num_hidden_layers=7, intermediate_size=32, num_key_value_heads=1, head_dim=16), sliding_window=6, query_pre_attn_scalar=24)
    yield "gpt2", t.GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2, pad_token_id=0,
                               attn_implementation="eager", attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    # Layer kinds that follow no rule: only layer_types says them.
    kinds = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    yield "gemma3_layer_types", t.Gemma3TextConfig(**dict(COMMON, num_hidden_layers=4, intermediate_size=32, num_key_value_heads=1, head_dim=16),
                                                   sliding_window=6, query_pre_attn_scalar=24, layer_types=kinds)
    yield "qwen2_layer_types", t.Qwen2Config(**dict(COMMON, num_hidden_layers=3), use_sliding_window=True, sliding_window=7, max_window_layers=2,
                                             layer_types=["sliding_attention", "full_attention", "sliding_attention"])


    # Six heads: no power of two.
    yield "baichuan_alibi", t.LlamaConfig(**dict(COMMON, hidden_size=24, intermediate_size=40, num_attention_heads=6, num_key_value_heads=6),
                                          tie_word_embeddings=False)


class Baichuan13B(torch.nn.Module):
    """What Transformers has no class for: its Llama, turned nowhere as all positions are 0, with Bloom's ALiBi in the mask and the head's
    rows at length one."""

    def __init__(self, llama):
        super().__init__()
        self.llama, self.rows = llama, llama.lm_head.weight.detach().clone()
        with torch.no_grad():
            llama.lm_head.weight.copy_(torch.nn.functional.normalize(self.rows, dim=1))

    def named_parameters(self, *args, **kwargs):
        return self.llama.named_parameters(*args, **kwargs)

    def forward(self, ids, attention_mask=None, position_ids=None, use_cache=False):
        batch, tokens = ids.shape
        real = torch.ones_like(ids) if attention_mask is None else attention_mask
        bias = build_alibi_tensor(real, self.llama.config.num_attention_heads, torch.float32).view(batch, -1, 1, tokens)
        seen = torch.ones(tokens, tokens, dtype=torch.bool).tril() & real.bool()[:, None, None, :] | torch.eye(tokens, dtype=torch.bool)
        mask = bias.expand(-1, -1, tokens, -1).masked_fill(~seen, torch.finfo(torch.float32).min)
        return self.llama(ids, attention_mask=mask, position_ids=torch.zeros_like(ids), use_cache=False)

    def generate(self, ids, max_new_tokens, **_):
        for _ in range(max_new_tokens):
            ids = torch.cat([ids, self(ids).logits[:, -1:].argmax(-1)], 1)
        return ids

    def save_pretrained(self, folder):
        stored = dict(self.llama.state_dict(), **{"lm_head.weight": self.rows})
        for name in [name for name in stored if "q_proj" in name]:
            stored[name.replace("q_proj", "W_pack")] = torch.cat([stored.pop(name.replace("q_proj", part)) for part in ("q_proj", "k_proj", "v_proj")])
        Path(folder).mkdir(parents=True)
        safetensors.torch.save_file({name: value.to(torch.bfloat16).contiguous() for name, value in stored.items()}, Path(folder) / "model.safetensors")
        config, llama = {"architectures": ["BaichuanForCausalLM"], "model_type": "baichuan"}, self.llama.config.to_dict()
        for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "rms_norm_eps",
                    "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"):
            config[key] = llama[key]
        config |= {"model_max_length": llama["max_position_embeddings"], "torch_dtype": "bfloat16", "use_cache": True, "z_loss_weight": 0}
        (Path(folder) / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def random_model(name, config, seed):
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * (0.3 if parameter.dim() > 1 else 0.2)
            flat_one = parameter.dim() == 1 and key.endswith("weight") and "gemma" not in type(model).__name__.lower()
            parameter.copy_((noise + (1.0 if flat_one else 0.0)).bfloat16().float())
    return (Baichuan13B(model) if name == "baichuan_alibi" else model).eval()


def outputs(model, ids):
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits
        padded = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
        greedy = model.generate(ids[:, :8], max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=True)[:, 8:]
    return dict(ids=ids, logits=logits, padded_mask=mask.bool(), padded_logits=padded, greedy=greedy)


def gradients(model, ids):
    model.zero_grad()
    logits = model(ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.size(-1)), ids[:, 1:].reshape(-1))
    loss.backward()
    kept = {"loss": loss.detach()}
    wanted = ("q_proj.weight", "k_proj.weight", "layernorm.weight", "up_proj.weight", "c_attn.weight", "ln_1.weight", "c_fc.weight", "q_norm.weight")
    for name, parameter in model.named_parameters():
        first_layer = ".layers.0." in name or ".h.0." in name
        if (first_layer and name.endswith(wanted)) or name.endswith(("norm.weight", "ln_f.weight")) and "layers" not in name:
            kept["grad." + name] = parameter.grad
    return kept


def make(name, config, seed, golden=GOLDEN):
    folder = golden / f"lm_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    model = random_model(name, config, seed)
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)  # a copy: rotary frequencies stay float32 in the model that is run
    (folder / "generation_config.json").unlink(missing_ok=True)
    ids = torch.randint(3, 96, (2, 24), generator=torch.Generator().manual_seed(seed))
    tensors = {key: value.contiguous() for key, value in (outputs(model, ids) | gradients(model, ids)).items()}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    safetensors.torch.save_file(tensors, folder / "golden.safetensors", metadata=versions)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size} bytes, loss {tensors['loss']:.4f}")


def check(folder):
    """The folder's own logits, by Transformers, for the golden ids of the case its name begins with."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    golden = safetensors.torch.load_file(Path(folder) / "expected.safetensors")
    with torch.no_grad():
        logits = model(golden["ids"], use_cache=False).logits
    worst = ((logits - golden["logits"]).abs().max() / golden["logits"].abs().max()).item()
    print(json.dumps({"folder": str(folder), "worst": worst}))
    return worst < 1e-4


def check_all():
    """Every case made anew gives what its golden file holds, and every installed model what Transformers makes of it."""
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, config) in enumerate(cases()):
            make(name, config, 100 + number, Path(scratch))
            fresh, golden = (safetensors.torch.load_file(folder / f"lm_{name}" / "golden.safetensors") for folder in (Path(scratch), GOLDEN))
            for key in sorted(fresh.keys() | golden.keys()):
                if key not in fresh or key not in golden or not torch.allclose(fresh[key].double(), golden[key].double(), rtol=1e-4, atol=1e-5):
                    print(f"{name}: {key} differs from its golden file")
                    good = False
    for name in LIVE_MODELS:
        found = subprocess.run([PROGRAM, "inspect", name, "--json"], capture_output=True, text=True)
        if found.returncode != 0:
            print(f"{name}: skipped: {found.stderr.strip()}")
        elif not live(json.loads(found.stdout)["path"]):
            good = False
    return good


def live(gguf):
    """Real weights: what Transformers makes of them goes into a file, which the test Live.LogitsAndGreedyTokens of tests_lm_torch compares with."""
    path = Path(gguf)
    model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    ids = torch.randint(3, 30000, (1, 128), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[:, -64:]
        greedy = model.generate(ids[:, :32], max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0)[:, 32:]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "expected.safetensors"
        safetensors.torch.save_file(dict(ids=ids, logits=logits.contiguous(), greedy=greedy.contiguous()), out)
        environment = dict(os.environ, TESSERA_LIVE_MODEL=str(path), TESSERA_LIVE_EXPECTED=str(out))
        done = subprocess.run([PROGRAM.parent / "tests_lm_torch", "--gtest_filter=Live.*"], env=environment, text=True, stdout=subprocess.PIPE)
        print(done.stdout)
        return done.returncode == 0 and "[  PASSED  ] 1 test." in done.stdout  # a program without this test passes, too


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--check"]:
        sys.exit(0 if (check(sys.argv[2]) if sys.argv[2:] else check_all()) else 1)
    if sys.argv[1:2] == ["--live"]:
        sys.exit(0 if live(sys.argv[2]) else 1)
    for number, (name, config) in enumerate(cases()):
        make(name, config, 100 + number)

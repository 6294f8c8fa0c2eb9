"""Perplexity by Transformers in disjoint windows, of a small Llama with random weights and of nothing else: the model is saved to
golden/eval_tiny_llama/ and the nats of each window to golden/eval_perplexity.json. With --check compares with what is stored instead."""
import json
import pathlib
import sys

import torch
import transformers

GOLDEN = pathlib.Path(__file__).parent / "golden"
MODEL, OUT = GOLDEN / "eval_tiny_llama", GOLDEN / "eval_perplexity.json"
TOKENS, WINDOWS = 203, (2, 17, 64, 203)


def fresh_model():
    torch.manual_seed(11)
    config = transformers.LlamaConfig(vocab_size=97, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
                                      num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False,
                                      initializer_range=0.3, bos_token_id=1, eos_token_id=2)
    return transformers.LlamaForCausalLM(config).eval()


def window_nats(model, ids, window):
    nats = []
    for begin in range(0, len(ids), window):
        piece = ids[begin:begin + window]
        if len(piece) < 2:
            continue
        with torch.no_grad():
            logits = model(piece[None]).logits[0, :-1].double()
        nats.append(torch.nn.functional.cross_entropy(logits, piece[1:]).item())
    return nats


if "--check" in sys.argv:
    model = transformers.LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
else:
    model = fresh_model()
    model.save_pretrained(MODEL)
    (MODEL / "generation_config.json").unlink(missing_ok=True)
torch.manual_seed(12)
ids = torch.randint(0, 97, (TOKENS,))
golden = {"transformers": transformers.__version__, "torch": torch.__version__, "ids": ids.tolist(),
          "windows": {str(w): window_nats(model, ids, w) for w in WINDOWS}}
if "--check" in sys.argv:
    stored = json.loads(OUT.read_text())
    assert stored["ids"] == golden["ids"]
    for window in stored["windows"]:
        for a, b in zip(stored["windows"][window], golden["windows"][window], strict=True):
            assert abs(a - b) < 1e-5, (window, a, b)
else:
    OUT.write_text(json.dumps(golden) + "\n")

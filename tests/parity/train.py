"""A model that `tessera train` wrote, in Transformers: it loads without a warning about missing or unknown weights, its tokenizer gives our
ids, its loss on a text is ours. Makes no golden file: the training itself runs here."""
import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers

PROGRAM = os.environ.get("TESSERA_PROGRAM") or os.path.join(os.environ.get("TESSERA_HOME", "."), "build", "bin", "tessera")
TEXT = "The sea is calm and the wind blows over a small boat at night. " * 40


def tessera(*words):
    done = subprocess.run([PROGRAM, *words, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"tessera {words[0]} exited {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        text = os.path.join(scratch, "text.txt")
        with open(text, "w", encoding="utf-8") as out:
            out.write(TEXT * 30)
        for dtype in ("fp32", "bf16"):
            run = os.path.join(scratch, dtype)
            tessera("train", "--data", text, "--model", "tiny", "--vocab", "300", "--length", "64", "--batch", "256", "--tokens", "5120",
                    "--dtype", dtype, "--out", run)
            model, info = transformers.AutoModelForCausalLM.from_pretrained(os.path.join(run, "model"), output_loading_info=True,
                                                                           dtype=torch.float32)
            assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
            tokenizer = transformers.AutoTokenizer.from_pretrained(os.path.join(run, "model"))
            ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
            ours = tessera("tokenize", os.path.join(run, "model"), text)["ids"]
            assert ids[:-2] == ours[:len(ids) - 2], "token ids differ"  # the text goes on where TEXT ends
            window = torch.tensor([ids[:128]])
            with torch.no_grad():
                nats = model(window, labels=window).loss.item()
            ours = tessera("eval", "perplexity", os.path.join(run, "model"), text, "--window", "128", "--windows", "1", "--dtype", "fp32")
            assert abs(nats - ours["nats_per_token"]) < 1e-4, (nats, ours)
            print(f"{dtype}: {nats:.6f} nats a token, ours {ours['nats_per_token']:.6f}")


if __name__ == "__main__":
    main()

"""Encoding speed of Tessera beside Hugging Face `tokenizers`, one thread each, ids only, alternating rounds, medians.

    ./run bench tokenize, or
    .venv-parity/bin/python bench/tokenize_.py [--model tokenizer.json|model.gguf ...] [--rounds 7] [--program build/bin/bench_tokenize] [--json]

Texts: English prose and interface texts in many languages that Debian packages install here (wordnet-base, debian-reference, gettext
catalogues), at least 5 MB each, in documents of about 4 kB. Tokenizers: the --model files, and small-vocabulary ones with the configurations
of known families, trained here. `tokenizers` runs whichever of its encode, encode_batch and encode_batch_fast is fastest.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/parity"))

import tokenizers
from measure import built, finish, row
from tokenizer_families import families
from tokenizer_texts import catalogue_strings, prose


def documents(lines, separator, least_bytes, size=4000):
    out, now, length = [], [], 0
    lines = [line for line in lines if "\0" not in line]
    while lines and sum(map(len, out)) < least_bytes:
        for line in lines:
            now.append(line)
            length += len(line)
            if length >= size:
                out.append(separator.join(now))
                now, length = [], 0
    return out


def from_gguf(path):
    """The tokenizer of a GGUF file with a GPT-2 vocabulary, as SmolLM2's is."""
    from gguf import GGUFReader
    from tokenizers import decoders, models, pre_tokenizers
    fields = GGUFReader(path).fields
    strings = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    pieces, merges = strings("tokenizer.ggml.tokens"), strings("tokenizer.ggml.merges")
    kinds = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    t = tokenizers.Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [tuple(m.split(" ")) for m in merges]))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([p for p, kind in zip(pieces, kinds) if kind in (3, 4)])
    return t


def theirs(tokenizer, how, texts):
    start = time.perf_counter()
    if how == "encode":
        count = sum(len(tokenizer.encode(text).ids) for text in texts)
    else:
        count = sum(len(e.ids) for e in getattr(tokenizer, how)(texts))
    return time.perf_counter() - start, count


def ours(program, model, file):
    done = json.loads(subprocess.run([program, model, file, "--rounds", "1"], capture_output=True, check=True).stdout)
    return done["seconds"][0], done["tokens"]


def compare(options, name, tokenizer, case, texts):
    size = sum(len(text.encode()) for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        model, file = f"{folder}/tokenizer.json", f"{folder}/texts"
        tokenizer.save(model)
        pathlib.Path(file).write_bytes("\0".join(texts).encode() + b"\0")
        ways = [way for way in ("encode", "encode_batch", "encode_batch_fast") if hasattr(tokenizer, way)]
        how = min(ways, key=lambda way: theirs(tokenizer, way, texts[:len(texts) // 4])[0])
        mine, rival = [], []
        for _ in range(options.rounds):
            seconds, our_count = ours(options.program, model, file)
            mine.append(seconds)
            seconds, count = theirs(tokenizer, how, texts)
            rival.append(seconds)
            if count != our_count:
                raise SystemExit(f"{name}, {case}: {our_count} tokens, tokenizers gives {count}")
    rate = lambda seconds: [size / s / 1e6 for s in seconds]
    return row(f"{name}, {case}", "MB/s", rate(mine), {f"tokenizers {tokenizers.__version__} {how}": rate(rival)}, True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=float, default=5)
    parser.add_argument("--program", help="bench_tokenize; built when not given")
    parser.add_argument("--families", default="gpt2,llama3,qwen2,llama2,gemma,minilm,xlmr")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.program = options.program or built("bench_tokenize")
    many = [text for strings in catalogue_strings().values() for text in strings]
    cases = {"English": documents(prose(), " ", options.megabytes * 1e6), "many languages": documents(many, "\n", options.megabytes * 6e5)}
    wanted = [name for name in options.families.split(",") if name]
    trained = families(prose()[::300] + many[::300], 4000) if wanted else {}
    all_tokenizers = {name: trained[name] for name in wanted}
    for path in options.model:
        all_tokenizers[pathlib.Path(path).stem] = from_gguf(path) if path.endswith(".gguf") else tokenizers.Tokenizer.from_file(path)
    rows = []
    for name, tokenizer in all_tokenizers.items():
        tokenizer.no_truncation()
        tokenizer.no_padding()
        rows += [compare(options, name, tokenizer, case, texts) for case, texts in cases.items()]
    finish("tokenize", rows)


if __name__ == "__main__":
    main()

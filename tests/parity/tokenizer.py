"""Compares Tessera's tokenizer with Hugging Face `tokenizers`: ids, pieces, offsets, type ids and decoded text.

    python tests/parity/tokenizer.py          writes tests/parity/golden/tokenizer_*.json, which ./run test compares with
    python tests/parity/tokenizer.py --full   compares live on every real string it finds, through build/bin/bench_tokenize (--program)

Run it in .venv-parity. Every family has the real one's normaliser, pre-tokenizer, model options, post-processor and decoder; the vocabularies
are trained here, on text of this machine. Real vocabularies are used by --full when their packages are given with --model FILE.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tokenizer_texts import catalogue_strings, prose
from tokenizer_families import LLAMA3, O200K, QWEN3, families

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/parity/golden"

# Strings that have gone wrong somewhere, in some tokenizer.
HARD = [
    "", " ", "  ", "   a", "a   ", " a  b   c ", "\n", "\n\n", "\r\n", " \n \n ", "a\n\n\nb", "\t\tx", "a\u00a0b", "\u3000x", "\u2003\u2003y",
    "I'm you're he's we'll they'd can't I've", "I'M YOU'RE HE'S WE'LL", "'s's 'S 'T '\u017f", "don''t", "''''", "1234567890", "a1b22c333d4444", "3.14159",
    "\u0661\u0662\u0663 \u0967\u0968 \u2167 \u00bd \u00b2 \u2460", "foo_bar __init__ x+=1; // c", "http://a.b/c?d=e&f=%20#g", "hello,world!(x)[y]{z}<w>",
    "<s>", "</s>hello<s>", "<unk> <pad>", "[CLS] [MASK] [SEP]", " [MASK] x", "a<|im_start|>b<|im_end|>\n", "<|endoftext|>", "<|endo", "x<mask>y <mask> z",
    "caf\u00e9 cafe\u0301 \u00c5 A\u030a \u212b", "\u1e9b\u0323 \u0344 \u0958 \ufb01 \ufb03 \u3392", "e\u0301\u0301\u0327", "\u0301start", "q\u0307\u0323 q\u0323\u0307",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\u4e2d\u6587abc\u4e2d", "\u0e44\u0e17\u0e22", "\u0915\u094d\u0937\u093f", "\u0b95\u0bcb",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f", "a\u200bb\u200cc\u200dd\u2060e\ufefff", "\u202eabc\u202c", "x\u0000y\u0001z\u007f\u0085\u009f",
    "\ufffd\ufffe\uffff", "\U0010ffff\U000e0001", "\u0130\u0131 \u1e9e\u00df \u03a3\u03c3\u03c2 \u01c5", "\u2581 \u2581\u2581a \u2581", "a\u2581b", " \u2581 a", "\u0120\u010a\u0100", "<0x41><0xC3>",
    "a" * 300, "ab" * 150, " " * 150, "\n" * 100, "\u0301" * 100, "\u00e9" * 120, "-" * 130, "1" * 90, "\u4e00" * 110, "supercalifragilisticexpialidocious" * 4,
    "\uff21\uff22\uff23\uff11\uff12 \uff76\uff9e", "\u2026 \u2014 \u201cq\u201d \u2018s\u2019", "A B  C   D    E     F", "\u1680a\u180eb\u2028c\u2029d", "\u00ad soft\u00adhyphen",
]


def script_of(text):
    for c in text:
        if c.isalpha():
            name = unicodedata.name(c, "")
            return "HAN" if name.startswith("CJK") else name.split(" ")[0]
    return None


def real_strings(most_per_language):
    rng = random.Random(1)
    found, scripts = [], {}
    for language, strings in sorted(catalogue_strings().items()):
        found += strings if len(strings) <= most_per_language else rng.sample(strings, most_per_language)
    for text in found:
        scripts[script_of(text)] = scripts.get(script_of(text), 0) + 1
    names = [unicodedata.name(chr(c)).capitalize() + " " + chr(c) for c in range(0x20, 0x30000, 97) if unicodedata.name(chr(c), "")]
    return found + names, {s: n for s, n in scripts.items() if s and n >= 10}


def random_texts(count, seed):
    rng = random.Random(seed)
    ranges = [(0, 0x250), (0, 0x80), (0x300, 0x370), (0x370, 0x600), (0x900, 0xe80), (0x1100, 0x1200), (0x1e00, 0x2c00), (0x3000, 0x3200), (0xac00, 0xac80), (0xf900, 0x10000),
              (0x1f300, 0x1f700), (0, 0x110000)]
    out = []
    for i in range(count):
        if i % 2:
            out.append(rng.randbytes(rng.randrange(1, 60)).replace(b"\0", b" ").decode(errors="replace"))
            continue
        low, high = rng.choice(ranges)
        characters = [chr(rng.randrange(low, high)) if rng.random() < 0.8 else rng.choice(" \n\t'a1.,\u2581") for _ in range(rng.randrange(1, 40))]
        out.append("".join(c for c in characters if c != "\0" and not "\ud800" <= c <= "\udfff"))
    return out


def theirs(tokenizer, first, second, special):
    e = tokenizer.encode(first, second, add_special_tokens=special) if second is not None else tokenizer.encode(first, add_special_tokens=special)
    return {"ids": e.ids, "pieces": e.tokens, "offsets": [list(o) for o in e.offsets], "types": e.type_ids,
            "decoded": tokenizer.decode(e.ids), "decoded_all": tokenizer.decode(e.ids, skip_special_tokens=False)}


def ours(program, model, texts, options):
    with tempfile.NamedTemporaryFile() as file:
        file.write("\0".join(texts).encode() + b"\0")
        file.flush()
        done = subprocess.run([program, model, file.name, "--encodings", *options], capture_output=True)
    if done.returncode:
        raise SystemExit(f"{program} {model}: {done.stderr.decode()}")
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def compare(program, name, path, texts, mode):
    tokenizer = tokenizers.Tokenizer.from_file(path)
    pair, special = mode == "pair", mode != "plain"
    if pair:
        texts = texts[:len(texts) // 2 * 2][:8000]
    answers = ours(program, path, texts, (["--pair"] if pair else []) + ([] if special else ["--no-special"]))
    inputs = list(zip(texts[::2], texts[1::2])) if pair else [(t, None) for t in texts]
    assert len(answers) == len(inputs), (len(answers), len(inputs))
    differing = {key: 0 for key in ("ids", "pieces", "offsets", "types", "decoded", "decoded_all", "fast")}
    shown = 0
    for (first, second), mine in zip(inputs, answers):
        expected = theirs(tokenizer, first, second, special)
        wrong = [key for key in expected if expected[key] != mine[key]] + ([] if mine["fast"] else ["fast"])
        for key in wrong:
            differing[key] += 1
        if wrong and shown < 3:
            shown += 1
            print("   DIFFERS", name, wrong, ascii(first[:80]), *(f"\n      {k}: {ascii(expected.get(k))[:300]}\n      ours {ascii(mine[k])[:300]}" for k in wrong[:2]))
    bad = sum(differing.values())
    print(f"{name:28} {mode:6} {len(inputs):7} texts, {'all equal' if not bad else differing}", flush=True)
    return len(inputs), bad


def save(tokenizer, path):
    """Scores of Unigram get six digits: `tokenizers` reads longer decimals a last bit off (serde_json), which decides between equal paths."""
    document = json.loads(tokenizer.to_str())
    if document["model"]["type"] == "Unigram":
        document["model"]["vocab"] = [[piece, round(score, 6)] for piece, score in document["model"]["vocab"]]
    pathlib.Path(path).write_text(json.dumps(document), encoding="utf-8")


def full(options):
    strings, scripts = real_strings(options.per_language)
    strings = [s for s in dict.fromkeys(HARD + strings + prose()[::7]) if s and "\0" not in s]
    print(f"{len(strings)} distinct real strings; {len(scripts)} scripts: {', '.join(f'{s} {n}' for s, n in sorted(scripts.items(), key=lambda x: -x[1]))}")
    random_ones = [t for t in random_texts(options.random, 7) if t]
    total = bad = 0
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for name, tokenizer in families(strings[::3], 4000).items():
            if options.only and options.only not in name:
                continue
            models[name] = f"{folder}/{name}.json"
            save(tokenizer, models[name])
        models |= {pathlib.Path(m).parent.name + "/" + pathlib.Path(m).name: m for m in options.model}
        for name, path in models.items():
            for mode, texts in (("whole", strings), ("plain", random_ones), ("pair", strings[::5])):
                n, wrong = compare(options.program, name, path, texts, mode)
                total, bad = total + n, bad + wrong
    print(f"{total} comparisons, {bad} differences; tokenizers {tokenizers.__version__}")
    return 1 if bad else 0


def canonical(answer):
    """An answer as one string, which tests/text/tokenizer_golden.cpp builds too."""
    spans = ";".join(f"{b},{e}" for b, e in answer["offsets"])
    return "\n".join([",".join(map(str, answer["ids"])), "\x1f".join(answer["pieces"]), spans, ",".join(map(str, answer["types"])), answer["decoded"],
                      answer["decoded_all"]])


def fnv(text):
    """FNV-1a, 64 bits, in hexadecimal."""
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return f"{value:016x}"


def unicode_golden():
    """What each step makes of every code point, between letters and after a mark, hashed: shows a table of the wrong Unicode version."""
    codes = [c for c in range(1, 0x110000) if not 0xd800 <= c < 0xe000]
    blocks = ["a" + "a".join(map(chr, codes[i:i + 128])) + "e\u0301" + "\u0301".join(map(chr, codes[i:i + 128])) + "\u0334" for i in range(0, len(codes), 128)]
    bert = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    steps = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Nmt()]
    steps += [normalizers.BertNormalizer(**bert | {key: True}) for key in bert]
    cuts = [pre_tokenizers.Digits(True), pre_tokenizers.Punctuation(), pre_tokenizers.Whitespace(), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.UnicodeScripts(), pre_tokenizers.ByteLevel(False)]
    patterns = [LLAMA3, QWEN3, O200K, r"\w+", r"\s", r"\d+", r"\p{Lu}|\p{Sc}|\p{P}", r"[^\s\p{L}]+", r"\W{2,3}"]
    cuts += [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    rows = [{"normalizer": json.loads(s.__getstate__()), "hash": fnv("\n".join(s.normalize_str(b) for b in blocks))} for s in steps]
    for s in cuts:
        spans = "\n".join(";".join(f"{b},{e}" for _, (b, e) in s.pre_tokenize_str(block)) for block in blocks)
        rows.append({"pre_tokenizer": json.loads(s.__getstate__()), "hash": fnv(spans)})
    path = GOLDEN / "unicode_steps.json"
    path.write_text(json.dumps({"versions": {"tokenizers": tokenizers.__version__}, "steps": rows}, indent=1) + "\n")
    print(path.name, path.stat().st_size)


def golden():
    unicode_golden()
    strings, _ = real_strings(40)
    training = strings[::4] + prose()[::400]
    rng = random.Random(3)
    sample = rng.sample(sorted(set(strings)), 60)
    texts = [t for t in dict.fromkeys(HARD + sample + random_texts(40, 11)) if "\0" not in t]
    GOLDEN.mkdir(exist_ok=True)
    for name, tokenizer in families(training, 600).items():
        answers = []
        for text in texts:
            answer = theirs(tokenizer, text, None, True)
            answers.append({"text": text, "hash": fnv(canonical(answer))} | ({"ids": answer["ids"]} if len(text) < 100 else {}))
        pair = theirs(tokenizer, "Hello there", "general  Kenobi", True)
        document = {"versions": {"tokenizers": tokenizers.__version__}, "tokenizer": json.loads(tokenizer.to_str()), "pair": pair, "answers": answers}
        path = GOLDEN / f"tokenizer_{name}.json"
        path.write_text(json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n")
        print(path.name, path.stat().st_size)


parser = argparse.ArgumentParser()
parser.add_argument("--full", action="store_true")
parser.add_argument("--program", default=str(ROOT / "build/bin/bench_tokenize"))
parser.add_argument("--model", action="append", default=[])
parser.add_argument("--per-language", type=int, default=250)
parser.add_argument("--random", type=int, default=4000)
parser.add_argument("--only")
options = parser.parse_args()
sys.exit(full(options) if options.full else golden())

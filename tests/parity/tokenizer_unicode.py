"""Asks Hugging Face `tokenizers` what it thinks of every code point and writes tessera/text/unicode_table.inc.

Its parts (Oniguruma, Rust's char, unicode_categories, regex, unicode-normalization) carry different versions of Unicode, so one version of
the Unicode data would be wrong somewhere: the table holds their answers. Run in .venv-parity:
    python tests/parity/tokenizer_unicode.py
"""
import pathlib

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODES))
CATEGORIES = ["Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
              "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"]
FLAGS = ["rust_space", "rust_numeric", "punctuation", "crate_word", "crate_space", "bert_removed", "bert_mark", "combining_mark",
         "onig_word", "onig_space", "bert_space", "nfkd_inert", "reordered"]


def matched(pattern):
    """Indices into ALL that the Oniguruma pattern (one character) matches."""
    split = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    return {i for _, (begin, end) in split.pre_tokenize_str(ALL) for i in range(begin, end)}


def kept(step):
    """Code points that survive a splitting step that removes."""
    return {i for _, (begin, end) in step.pre_tokenize_str(ALL) for i in range(begin, end)}


def main():
    n = len(CODES)
    category = [0] * n
    for k, name in enumerate(CATEGORIES[1:], 1):
        for i in matched(r"\p{%s}" % name):
            category[i] = k
    flags = {name: set() for name in FLAGS}
    flags["rust_space"] = set(range(n)) - kept(pre_tokenizers.WhitespaceSplit())
    flags["punctuation"] = set(range(n)) - kept(pre_tokenizers.Punctuation(behavior="removed"))
    flags["onig_word"], flags["onig_space"] = matched(r"\w"), matched(r"\s")
    digits = pre_tokenizers.Digits(individual_digits=True)
    whitespace = pre_tokenizers.Whitespace()
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    accents = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    marks, nfkd, nfd = normalizers.StripAccents(), normalizers.NFKD(), normalizers.NFD()
    lower = normalizers.Lowercase()
    lowered, composed = [], []
    for i, c in enumerate(CODES):
        ch = chr(c)
        if len(digits.pre_tokenize_str("a" + ch)) == 2:
            flags["rust_numeric"].add(i)
        pieces = whitespace.pre_tokenize_str("a" + ch)
        if len(pieces) == 1:
            flags["crate_word" if pieces[0][0] == "a" + ch else "crate_space"].add(i)
        cleaned = clean.normalize_str(ch)
        if cleaned == "":
            flags["bert_removed"].add(i)
        elif cleaned == " " and ch != " ":
            flags["bert_space"].add(i)
        if accents.normalize_str(ch) == "":
            flags["bert_mark"].add(i)
        if marks.normalize_str(ch) == "":
            flags["combining_mark"].add(i)
        if nfkd.normalize_str(ch) == ch:
            flags["nfkd_inert"].add(i)
        if nfd.normalize_str("\u0301" + ch) == ch + "\u0301" or nfd.normalize_str(ch + "\u0334") == "\u0334" + ch:
            flags["reordered"].add(i)
        low = lower.normalize_str(ch)
        if low != ch:
            lowered.append((c, low))
    scripts = script_numbers()
    words = []
    for i in range(n):
        word = category[i] | scripts[i] << 24
        for k, name in enumerate(FLAGS):
            word |= (i in flags[name]) << (5 + k)
        words.append(word)
    write(words, lowered)


def script_numbers():
    """0 for the characters that belong to any script, else a number for each script of the UnicodeScripts step."""
    step = pre_tokenizers.UnicodeScripts()
    one = lambda text: len(step.pre_tokenize_str(text)) == 1
    numbers, seen, last = [], [], None
    for c in CODES:
        ch = chr(c)
        if one("\u044f" + ch + "\u044f") and one("\u03c9" + ch + "\u03c9"):
            numbers.append(0)
            continue
        if last is not None and one(last[1] + ch):
            numbers.append(last[0])
            continue
        for k, representative in enumerate(seen, 1):
            if one(representative + ch):
                break
        else:
            seen.append(ch)
            k = len(seen)
        last = (k, ch)
        numbers.append(k)
    return numbers


def write(words, lowered):
    runs, previous = [], None
    for c, word in zip(CODES, words):
        if word != previous:
            runs.append(f"{{0x{c:x},0x{word:x}}}")
        previous = word
    out = [f"// Written by tests/parity/tokenizer_unicode.py from tokenizers {tokenizers.__version__}; do not edit.", "// clang-format off",
           "constexpr UnicodeRun unicode_runs[] = {"]
    out += wrap(runs)
    out += ["};", "constexpr LowercaseEntry lowercase_entries[] = {"]
    out += wrap([f"{{0x{c:x},0x{ord(low[0]):x},0x{ord(low[1]) if len(low) > 1 else 0:x}}}" for c, low in lowered])
    out += ["};", "// clang-format on", ""]
    (ROOT / "tessera/text/unicode_table.inc").write_text("\n".join(out))
    print(len(runs), "runs,", len(lowered), "lower-case mappings,", max(len(low) for _, low in lowered), "characters at most")


def wrap(items, width=138):
    lines, line = [], ""
    for item in items:
        if len(line) + len(item) + 1 > width:
            lines.append(line)
            line = ""
        line += item + ","
    return lines + [line]


main()

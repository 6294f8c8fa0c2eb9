"""Small SentencePiece models and the ids the wheel gives, for comparison with tessera/text/sentencepiece.

    sentencepiece.py                 writes golden/sentencepiece/*.model and golden/sentencepiece.json
    sentencepiece.py --write DIR     writes larger models and 4,000 texts a model into DIR, as NAME.model and NAME.json
"""
import argparse
import importlib
import json
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]  # this file has the wheel's name
spm = importlib.import_module("sentencepiece")

SENTENCES = """The quick brown fox jumps over the lazy dog, and the dog is not amused.
In the beginning there was text; tokens came later and stayed for good.
She sells sea shells by the sea shore, but the shells she sells are not sea shells.
Numbers such as 3.14159, 2718 and 1,000,000 break into parts.
Der schnelle braune Fuchs springt über den faulen Hund, während es draußen regnet.
Größe, Straße, Äpfel und Öl: die Umlaute kommen oft vor.
Le cœur a ses raisons que la raison ne connaît point; voilà où ça mène.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío.
Zażółć gęślą jaźń, powiedział żółw do chrząszcza w Szczebrzeszynie.
Съешь же ещё этих мягких французских булок, да выпей чаю.
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, είπε ο σοφός.
敏捷的棕色狐狸跳过了懒狗。天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。
いろはにほへと ちりぬるを わかよたれそ つねならむ。吾輩は猫である。
키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.
نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر.
דג סקרן שט בים מאוכזב ולפתע מצא לו חברה.
ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले राम.
เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน
def main(argv): return [x ** 2 for x in range(10) if x % 2 == 0]
{"name": "value", "list": [1, 2, 3], "nested": {"true": false}}""".split("\n")

KINDS = {
    "bpe_bytes": {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False, "split_digits": True},
    "bpe_nfkc": {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc"},
    "unigram_nfkc": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc"},
    "unigram_bytes": {"model_type": "unigram", "byte_fallback": True, "normalization_rule_name": "identity", "add_dummy_prefix": False,
                      "remove_extra_whitespaces": False},
    "unigram_cf": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc_cf"},
    "bpe_symbols": {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
                    "user_defined_symbols": ["<sep>", "▁▁", "▁▁▁▁", "\n\n"], "add_dummy_prefix": False},
    "char": {"model_type": "char", "normalization_rule_name": "identity"},
}


def corpus(rng, lines):
    words = [w for s in SENTENCES for w in s.split()]
    return SENTENCES * 3 + [" ".join(rng.choice(words) for _ in range(rng.randint(3, 12))) for _ in range(lines)]


def texts(rng, count):
    out = SENTENCES + ["", " ", "  ", "a", " a", "a ", "  a  b  ", "\t\n", "a\tb\nc", "\u2581", "a\u2581b", "\u00a0x\u3000y", "e\u0301 \ufb01 \u2460 \uff21",
                       "aaaaaaaaaa", "    indented\n\n    code", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0000\u0001", "\ufffd", "ＡＢＣ　ｘｙｚ", "ﷺ"]
    alphabet = sorted(set("".join(SENTENCES)))
    while len(out) < count:
        kind = rng.randrange(5)
        if kind == 0:
            text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 40)))
        elif kind == 1:
            text = bytes(rng.randrange(256) for _ in range(rng.randint(1, 30))).decode("utf-8", errors="replace")
        elif kind == 2:
            text = "".join(chr(rng.choice([rng.randrange(32, 0x600), rng.randrange(0x600, 0xD7FF), rng.randrange(0xE000, 0x1FFFF)])) for _ in range(rng.randint(1, 15)))
        elif kind == 3:
            sentence = rng.choice(SENTENCES)
            begin = rng.randrange(len(sentence))
            text = sentence[begin:begin + rng.randint(1, 60)]
        else:
            text = "".join(rng.choice(["a", "b", " ", "  ", "the", "ab", "ba", "é", "\n"]) for _ in range(rng.randint(1, 25)))
        out.append(text)
    return out


def train(kind, vocab, lines, path):
    rng = random.Random(7)
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus(rng, lines)), model_prefix=path[:-6], vocab_size=vocab, character_coverage=0.995,
                                   hard_vocab_limit=False, num_threads=1, minloglevel=2, **KINDS[kind])
    os.remove(path[:-6] + ".vocab")
    return spm.SentencePieceProcessor(model_file=path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write")
    options = parser.parse_args()
    folder = options.write or os.path.join(HERE, "golden", "sentencepiece")
    os.makedirs(folder, exist_ok=True)
    golden = {"versions": {"sentencepiece": spm.__version__}, "models": {}}
    for kind in KINDS:
        if not options.write and kind in ("unigram_nfkc", "unigram_cf", "bpe_nfkc"):
            continue  # their charsmaps alone pass the size of a golden file
        path = os.path.join(folder, kind + ".model")
        processor = train(kind, 2000 if options.write else 700, 3000 if options.write else 400, path)
        rows = [{"text": t, "ids": processor.encode(t)} for t in texts(random.Random(11), 4000 if options.write else 150)]
        if options.write:
            with open(path[:-6] + ".json", "w", encoding="utf-8") as file:
                json.dump(rows, file)
        else:
            golden["models"][kind] = rows
    if not options.write:
        with open(os.path.join(HERE, "golden", "sentencepiece.json"), "w", encoding="utf-8") as file:
            json.dump(golden, file, ensure_ascii=False)


if __name__ == "__main__":
    main()

"""Vocabularies by Hugging Face's trainers, for comparison with tessera/text/train_*.

    train_vocab.py                                 writes golden/train_vocab.json: the merges of a byte-level BPE on a small text
    train_vocab.py --corpus FILE --size N OURS...  trains on FILE and prints bytes a token of Hugging Face's vocabularies and of each
                                                   tokenizer.json OURS over the same lines, with times
"""
import argparse
import json
import os
import sys
import time

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = "\n".join(line for number in range(40) for line in (
    f"The {number} quick brown foxes jump over {number * 7} lazy dogs; they're quick!", "Größe und Straße, größer und größte.", "aaaa aaa aa abab ababab",
    "日本語の文と日本の文。", "  indented = [x for x in range(10)]"))


def byte_level(lines, size, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def unigram(lines, size, special):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.train_from_iterator(lines, trainers.UnigramTrainer(vocab_size=size, special_tokens=special + ["<unk>"], unk_token="<unk>", show_progress=False))
    return tokenizer


def merges_of(tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    return model["merges"], model["vocab"]


def compare(options):
    with open(options.corpus, encoding="utf-8", newline="\n") as file:
        lines = [" ".join(line.split()) for line in file.read().split("\n")]  # runs of blanks are cut differently by the two Unigrams
    all_bytes = sum(len(line.encode()) for line in lines)
    for name, train in (("byte-level BPE", byte_level), ("Unigram", unigram)):
        begin = time.perf_counter()
        theirs = train(lines, options.size, ["<s>", "</s>"])
        seconds = time.perf_counter() - begin
        count = sum(len(e.ids) for e in theirs.encode_batch(lines))
        print(f"tokenizers {tokenizers.__version__} {name}: {theirs.get_vocab_size()} pieces, {all_bytes / count:.4f} bytes a token, {seconds:.1f} s")
        for path in options.ours:
            ours = Tokenizer.from_file(path)
            if (type(ours.model).__name__ == "Unigram") == (name == "Unigram"):
                count = sum(len(e.ids) for e in ours.encode_batch(lines))
                same = merges_of(ours)[0] == merges_of(theirs)[0] if type(ours.model).__name__ == "BPE" else None
                print(f"  {path}: {all_bytes / count:.4f} bytes a token, merges equal: {same}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus")
    parser.add_argument("--size", type=int, default=8000)
    parser.add_argument("ours", nargs="*")
    options = parser.parse_args()
    if options.corpus:
        compare(options)
        return
    lines = TEXT.split("\n")
    merges, vocab = merges_of(byte_level(lines, 420, ["<s>", "</s>"]))
    with open(os.path.join(HERE, "golden", "train_vocab.json"), "w", encoding="utf-8") as file:
        json.dump({"versions": {"tokenizers": tokenizers.__version__, "python": sys.version.split()[0]}, "text": TEXT, "size": 420, "merges": merges,
                   "vocab": sorted(vocab, key=vocab.get)}, file, ensure_ascii=False)


if __name__ == "__main__":
    main()

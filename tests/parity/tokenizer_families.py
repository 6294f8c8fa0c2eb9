"""Small tokenizers with the real configurations of well-known families, and of parts that few files use, trained on given texts."""
import collections
import json
import struct
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def byte_level_bpe(texts, size, pre, specials, ignore_merges=False, normalizer=None, post=None, initial=True):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer, t.decoder = pre, decoders.ByteLevel()
    if normalizer is not None:
        t.normalizer = normalizer
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if initial else []))
    t.add_special_tokens(specials)
    if post is not None:
        t.post_processor = post
    return t


def sentencepiece_bpe(texts, size, specials, configure, unk="<unk>"):
    """A BPE model over characters with U+2581 for the blank and bytes for what is unknown."""
    t = Tokenizer(models.BPE(unk_token=unk, fuse_unk=True, byte_fallback=True))
    configure(t)
    marked = [" " + text for text in texts]
    training = Tokenizer(models.BPE(unk_token=unk))
    training.pre_tokenizer = pre_tokenizers.Metaspace()
    training.train_from_iterator(marked, trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=specials + BYTES, limit_alphabet=size // 3))
    trained = json.loads(training.to_str())["model"]
    document = json.loads(t.to_str())
    document["model"]["vocab"], document["model"]["merges"] = trained["vocab"], trained["merges"]
    t = Tokenizer.from_str(json.dumps(document))
    t.add_special_tokens(specials)
    return t


def charsmap(pairs):
    """SentencePiece's map as a double-array trie: the child for byte c of the node with base b is unit b ^ c, its value unit b."""
    replacements, offsets = b"", {}
    for source, target in pairs:
        offsets[source.encode()] = len(replacements)
        replacements += target.encode() + b"\0"
    children = {b"": set()}
    for key in offsets:
        for i in range(len(key)):
            children.setdefault(key[:i], set()).add(key[i])
            children.setdefault(key[:i + 1], set())
    units, used, base, place = {0: 0}, {0}, {}, {b"": 0}
    for node in sorted(children, key=lambda n: (len(n), n)):
        b = next(b for b in range(1, 1 << 21) if b not in used and not any(b ^ c in used for c in children[node]))
        base[node] = b
        used.add(b)
        for c in children[node]:
            used.add(b ^ c)
            place[node + bytes([c])] = b ^ c
    for node, b in base.items():
        units[place[node]] = offset_bits(place[node] ^ b) | (0x100 if node in offsets else 0) | (node[-1] if node else 0)
        if node in offsets:
            units[b] = offsets[node] | 1 << 31
    size = max(used) // 256 * 256 + 256
    trie = struct.pack(f"<{size}I", *(units.get(i, 0) for i in range(size)))
    return struct.pack("<I", len(trie)) + trie + replacements


def offset_bits(offset):
    assert offset < 1 << 21 or offset % 256 == 0
    return offset << 10 if offset < 1 << 21 else (offset >> 8) << 10 | 1 << 9


def nmt_nfkc_pairs():
    codes = list(range(0xa0, 0x180)) + list(range(0x2000, 0x2100, 3)) + list(range(0x3300, 0x3310)) + list(range(0xfb00, 0xfb07)) + list(range(0xff01, 0xff40))
    pairs = [(chr(c), unicodedata.normalize("NFKC", chr(c))) for c in codes if unicodedata.normalize("NFKC", chr(c)) not in (chr(c), "")]
    pairs += [("e\u0301", "\u00e9"), ("A\u030a", "\u00c5"), ("\t", " "), ("\n", " "), ("\u200b", " "), ("\u0001", ""), ("\u00ad", "")]
    return sorted(dict(pairs).items(), key=lambda p: p[0].encode())


def common_texts(texts, normalizer, most):
    """The texts that only use the most common characters, after normalisation: the trainer wants all of them in the vocabulary."""
    normal = [normalizer.normalize_str(text) for text in texts]
    kept = {c for c, _ in collections.Counter(c for text in normal for c in text).most_common(most)}
    return [text for text in normal if kept.issuperset(text)]


def unigram(texts, size, normalizer, scheme, specials, post, byte_fallback=False):
    texts = common_texts(texts, normalizer, size // 4)
    if byte_fallback:
        size += 256
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    t.decoder = decoders.Metaspace(prepend_scheme=scheme)
    t.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=size, show_progress=False, special_tokens=specials + (BYTES if byte_fallback else []),
                                                         unk_token="<unk>"))
    if byte_fallback:
        document = json.loads(t.to_str())
        document["model"]["byte_fallback"] = True
        document["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, document["decoder"]]}
        t = Tokenizer.from_str(json.dumps(document))
    t.add_special_tokens(specials)
    t.post_processor = post(t)
    return t


def template(t, single, pair, names):
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[(n, t.token_to_id(n)) for n in names])


def llama2(t):
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def mistral(t):
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def gemma(t):
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])


def wordpiece(texts, size):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=specials, limit_alphabet=size // 3))
    t.decoder = decoders.WordPiece()
    t.post_processor = template(t, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", ["[CLS]", "[SEP]"])
    return t


def families(texts, size):
    """name -> Tokenizer with about `size` tokens."""
    split = lambda pattern: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    made = {}
    made["gpt2"] = byte_level_bpe(texts, size, pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"], post=processors.ByteLevel(trim_offsets=False))
    t = made["llama3"] = byte_level_bpe(texts, size, split(LLAMA3), ["<|begin_of_text|>", "<|eot_id|>"], ignore_merges=True)
    t.post_processor = processors.Sequence([processors.ByteLevel(), template(t, "<|begin_of_text|>:0 $A:0", "<|begin_of_text|>:0 $A:0 <|begin_of_text|>:1 $B:1",
                                                                             ["<|begin_of_text|>"])])
    made["qwen2"] = byte_level_bpe(texts, size, split(QWEN2), chat, normalizer=normalizers.NFC(), post=processors.ByteLevel(trim_offsets=False))
    made["smollm2"] = byte_level_bpe(texts, size, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), chat)
    specials = ["<unk>", "<s>", "</s>"]
    t = made["llama2"] = sentencepiece_bpe(texts, size + 256, specials, llama2)
    t.post_processor = template(t, "<s>:0 $A:0", "<s>:0 $A:0 <s>:1 $B:1", ["<s>"])
    t = made["mistral"] = sentencepiece_bpe(texts, size + 256, specials, mistral)
    t.post_processor = template(t, "<s>:0 $A:0", "<s>:0 $A:0 <s>:1 $B:1", ["<s>"])
    t = made["gemma"] = sentencepiece_bpe(texts, size + 256, ["<pad>", "<eos>", "<bos>", "<unk>"], gemma)
    t.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("\u2581\u2581\u2581", normalized=False), AddedToken("<table>", normalized=False)])
    t.post_processor = template(t, "<bos>:0 $A:0", "<bos>:0 $A:0 <bos>:1 $B:1", ["<bos>"])
    made["minilm"] = wordpiece(texts, size)
    precompiled = normalizers.Precompiled(charsmap(nmt_nfkc_pairs()))
    two = lambda t: template(t, "<s>:0 $A:0 </s>:0", "<s>:0 $A:0 </s>:0 </s>:0 $B:0 </s>:0", ["<s>", "</s>"])
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    t = made["xlmr"] = unigram(texts, size, normalizers.Sequence([precompiled, normalizers.Replace(Regex(" {2,}"), " ")]), "always", names, two)
    t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    one = lambda t: template(t, "$A </s>", "$A </s> $B </s>", ["</s>"])
    made["t5"] = unigram(texts, size, normalizers.Sequence([precompiled, normalizers.Strip(False, True), normalizers.Replace(Regex(" {2,}"), "\u2581")]), "first",
                         ["<pad>", "</s>", "<unk>"], one, byte_fallback=True)
    made |= rare_parts(texts, size, split, chat)
    return made


def rare_parts(texts, size, split, chat):
    made = {}
    made["qwen3"] = byte_level_bpe(texts, size, split(QWEN3), chat, normalizer=normalizers.NFC())
    made["o200k"] = byte_level_bpe(texts, size, split(O200K), chat, normalizer=normalizers.NFKC())
    t = made["roberta"] = byte_level_bpe(texts, size, pre_tokenizers.ByteLevel(add_prefix_space=True), ["<s>", "</s>"], normalizer=normalizers.NFD())
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<end>", rstrip=True)])
    t.add_tokens([AddedToken("world", single_word=True), AddedToken("Hello", normalized=True)])
    # No initial alphabet: characters are missing from the vocabulary.
    made["sparse_bytes"] = byte_level_bpe(texts[:50], size // 2, pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(True)]), chat,
                                          normalizer=normalizers.NFKD(), initial=False)
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=["<unk>"], end_of_word_suffix="</w>", limit_alphabet=size // 4))
    t.decoder = decoders.BPEDecoder()
    made["word_end"] = t
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Strip(), normalizers.BertNormalizer(clean_text=True, strip_accents=True, lowercase=False)])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.UnicodeScripts(), pre_tokenizers.Punctuation("merged_with_next"), pre_tokenizers.Digits(False)])
    t.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=size, show_progress=False, special_tokens=["<unk>", "[CLS]", "[SEP]"]))
    t.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    t.decoder = decoders.CTC(pad_token="<unk>")
    made["word_level"] = t
    t = Tokenizer(models.Unigram([("<unk>", 0.0)] + [(c, -5.0 - i / 100) for i, c in enumerate("abcdefghijklmnopqrstuvwxyz\u2581.,")] + [("ab", -3.0), ("the", -2.0), ("xx", -1.0)], 0, False))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit("/"), pre_tokenizers.Metaspace(prepend_scheme="first"),
                                               pre_tokenizers.Split(Regex("[aeiou]+|\\d"), "merged_with_previous", invert=True), pre_tokenizers.FixedLength(7)])
    t.normalizer = normalizers.Sequence([normalizers.Prepend("_"), normalizers.Replace(Regex("[A-Z]"), "x"), normalizers.ByteLevel()])
    t.decoder = decoders.Sequence([decoders.Metaspace(prepend_scheme="first"), decoders.Strip("x", 2, 0), decoders.Replace(Regex("a+"), "A")])
    t.enable_truncation(20)
    t.enable_padding(length=24, pad_id=0, pad_token="<unk>", direction="left")
    made["odd_steps"] = t
    return made

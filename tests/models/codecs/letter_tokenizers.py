"""Tokenizers of the three kinds whose tokens are single letters, so that every word has as many tokens as letters."""

import string

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from models.codecs.text import SpecialTokens, TokenizersCodec

LETTERS = string.ascii_letters + string.digits + string.punctuation + "éöß東京都日本ไทย€"


def wordpiece(*words: str, lowercase: bool = False) -> Tokenizer:
    """BERT's: letters, the same letters within a word, and these words."""
    letters = [*LETTERS, *(f"##{letter}" for letter in LETTERS), *words]
    unknown = "[UNK]"
    vocab = {token: number for number, token in enumerate(dict.fromkeys([unknown, "[CLS]", "[SEP]", *letters]))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    tokenizer.add_special_tokens([unknown, "[CLS]", "[SEP]"])
    return tokenizer


def byte_level(*words: str) -> Tokenizer:
    """RoBERTa's: bytes, bytes after a space, and the words of two tokens, which may begin with a space."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [word.replace(" ", "Ġ") for word in words]
    tokens = ["<s>", "</s>", *alphabet, *(f"Ġ{letter}" for letter in alphabet if letter != "Ġ"), *names]
    merges = [("Ġ", letter) for letter in alphabet if letter != "Ġ"]
    merges += [(name[:-1], name[-1]) for name in names]
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def metaspace(*words: str) -> Tokenizer:
    """Sentencepiece's: letters, letters that begin a word, a lone mark of a word's beginning, and these words."""
    marked = [f"▁{letter}" for letter in LETTERS if letter.isascii() and letter.isalnum()]
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -5.0)]
    pieces += [(piece, -2.0) for piece in dict.fromkeys([*LETTERS, *marked, *words])]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def codec_on(tokenizer: Tokenizer, max_tokens: int = 512) -> TokenizersCodec:
    """Return the codec, which knows the special tokens."""
    start, unknown = (
        next((tokenizer.token_to_id(name) for name in names if tokenizer.token_to_id(name) is not None), None)
        for names in (("[CLS]", "<s>"), ("[UNK]", "<unk>"))
    )
    special = SpecialTokens(start=start, unknown=unknown, all=frozenset(tokenizer.get_added_tokens_decoder()))
    return TokenizersCodec(tokenizer, special, max_tokens)

"""The tokenizers of the tiny checkpoints, and the texts they are trained on."""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, Unigram, WordPiece

VOCAB_SIZE = 2000


def lines(path: Path) -> list[str]:
    """Of a gzipped text."""
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def sentences(data: Path) -> list[str]:
    """English, of an encyclopaedia and of captions."""
    articles = lines(data / "wikipedia-en-sample/valid.txt.gz")
    captions = lines(data / "multi30k-en-de/train.en.gz")
    return [line for line in articles if 40 < len(line) < 1200] + captions


def stories(data: Path) -> list[str]:
    """For children, in lower case."""
    return [line for line in lines(data / "tinystories-sample/tinystories-first-4MB-lowercased.txt.gz") if line]


def wordpiece(data: Path) -> Tokenizer:
    """Lower case, as BERT has it."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))  # noqa: S106 a token, no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        sentences(data),
        trainers.WordPieceTrainer(vocab_size=VOCAB_SIZE, special_tokens=special, show_progress=False),
    )
    return enclosed(tokenizer, "[CLS]", "[SEP]")


def unigram(data: Path) -> Tokenizer:
    """As ALBERT has it."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        sentences(data),
        trainers.UnigramTrainer(
            vocab_size=VOCAB_SIZE,
            special_tokens=special,
            unk_token="<unk>",  # noqa: S106 a token, no password
            show_progress=False,
        ),
    )
    return enclosed(tokenizer, "[CLS]", "[SEP]")


def byte_level(texts: Callable[[Path], Sequence[str]], special: list[str]) -> Callable[[Path], Tokenizer]:
    """Pairs of bytes, as GPT-2 and RoBERTa have them."""

    def train(data: Path) -> Tokenizer:
        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts(data), trainer)
        if "<s>" in special:
            ends = (("</s>", special.index("</s>")), ("<s>", special.index("<s>")))
            tokenizer.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=False)
        elif "</s>" in special:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", special.index("</s>"))]
            )
        return tokenizer

    return train


def enclosed(tokenizer: Tokenizer, start: str, end: str) -> Tokenizer:
    """With a token before a text and one after each."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(name, tokenizer.token_to_id(name) or 0) for name in (start, end)],
    )
    return tokenizer

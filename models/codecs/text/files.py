"""The tokenizer a checkpoint's folder asks for: `tokenizer.json`, or the older files of its family."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece

from models.codecs.text.codec import FastCodec, Special, TextCodec
from models.codecs.text.marian import read_marian
from models.errors import CheckpointError

TOKENIZER_FILE = "tokenizer.json"
ROLES = {"mask": "mask_token", "padding": "pad_token", "unknown": "unk_token"}
STARTS, ENDS = ("cls_token", "bos_token"), ("sep_token", "eos_token")


@dataclass(frozen=True, kw_only=True)
class TokenizerDefaults:
    """How a family's tokenizers were stored before `tokenizer.json`: the files, and the names of special tokens."""

    files: tuple[str, ...]
    build: Callable[[Path, Mapping[str, Any]], Tokenizer]
    names: Mapping[str, str]


def read_text_codec(
    folder: Path, name: str, family: str, *, max_tokens: int, values: Mapping[str, Any], lowercase: bool = False
) -> TextCodec:
    """The codec of a checkpoint of texts; `values` is its `config.json`. With `lowercase`, texts are lowered first.

    Raises:
        CheckpointError: the folder has no tokenizer, or a damaged one.
    """
    older = OLDER[family]
    settings = _settings(folder, name, older)
    try:
        if (folder / TOKENIZER_FILE).exists():
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        elif all((folder / file).exists() for file in older.files):
            if family == "vanilla":
                return read_marian(folder, max_tokens=max_tokens, settings=settings)
            tokenizer = older.build(folder, settings)
        else:
            raise CheckpointError(
                f"{name} has no tokenizer: {TOKENIZER_FILE}, or {' and '.join(older.files)}, is missing"
            )
    except CheckpointError:
        raise
    except Exception as error:  # both libraries raise bare ones
        raise CheckpointError(f"{name}: the tokenizer is not readable: {error}") from error
    if lowercase:
        after = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *after])
    return FastCodec(tokenizer, _special(tokenizer, settings, values), max_tokens, crosses=family == "vanilla")


def _settings(folder: Path, name: str, older: TokenizerDefaults) -> dict[str, Any]:
    """What the files beside the tokenizer say; later files win over earlier ones, and all over the family's names."""
    settings: dict[str, Any] = dict(older.names)
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / file).exists():
            try:
                content = json.loads((folder / file).read_text())
                settings |= {key: value for key, value in content.items() if value is not None}
            except (OSError, ValueError, AttributeError, RecursionError) as error:
                raise CheckpointError(f"{name}/{file} is not readable as a JSON object: {error}") from None
    return {key: _text_of(value) if key.endswith("_token") else value for key, value in settings.items()}


def _special(tokenizer: Tokenizer, settings: Mapping[str, Any], values: Mapping[str, Any]) -> Special:
    def first(names: tuple[str, ...]) -> int | None:
        ids = (tokenizer.token_to_id(settings[name]) for name in names if name in settings)
        return next((one for one in ids if one is not None), None)

    by_role = {role: first((name,)) for role, name in ROLES.items()}
    start, end = first(STARTS), first(ENDS)
    added = {token for token, content in tokenizer.get_added_tokens_decoder().items() if content.special}
    known = {one for one in (by_role["mask"], by_role["padding"], start, end) if one is not None}
    return Special(**by_role, start=start, end=end, all=frozenset(added | known))


def _wordpiece(folder: Path, settings: Mapping[str, Any]) -> Tokenizer:
    vocab = WordPiece.read_file(str(folder / "vocab.txt"))
    tokenizer = Tokenizer(WordPiece(vocab, unk_token=settings["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    _add_special(tokenizer, settings)
    tokenizer.post_processor = _classic(tokenizer, settings)
    return tokenizer


def _byte_level(folder: Path, settings: Mapping[str, Any]) -> Tokenizer:
    prefix = bool(settings.get("add_prefix_space", False))
    vocab, merges = BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    _add_special(tokenizer, settings)
    if "cls_token" in settings:
        end, start = (
            (str(settings[name]), tokenizer.token_to_id(settings[name]) or 0) for name in ("sep_token", "cls_token")
        )
        tokenizer.post_processor = processors.RobertaProcessing(end, start, trim_offsets=True, add_prefix_space=prefix)
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _unigram(folder: Path, settings: Mapping[str, Any]) -> Tokenizer:
    """As ALBERT normalises: quotes, accents, case, then what the file itself says."""
    path = folder / "spiece.model"
    pieces = SentencePieceProcessor(model_file=str(path))
    vocab = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    tokenizer = Tokenizer(Unigram(vocab, unk_id=pieces.unk_id(), byte_fallback=False))
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.get("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    if charsmap := precompiled_charsmap(path.read_bytes()):
        steps.append(normalizers.Precompiled(charsmap))
    steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    tokenizer.normalizer = normalizers.Sequence(steps)
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    _add_special(tokenizer, settings)
    tokenizer.post_processor = _classic(tokenizer, settings)
    return tokenizer


def _no_older(folder: Path, settings: Mapping[str, Any]) -> Tokenizer:
    raise CheckpointError("this family's older tokenizers are read by sentencepiece")


def _classic(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> processors.TemplateProcessing:
    """[CLS] A [SEP] B [SEP]."""
    start, end = settings["cls_token"], settings["sep_token"]
    return processors.TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0",
        pair=f"{start}:0 $A:0 {end}:0 $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )


def _add_special(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
    """Those of the vocabulary that have a role. A mask swallows the space before it where words begin with theirs."""
    swallows = not isinstance(tokenizer.model, WordPiece)
    for name, token in sorted(settings.items()):
        if name.endswith("_token") and isinstance(token, str) and tokenizer.token_to_id(token) is not None:
            lstrip = swallows and name == "mask_token"
            tokenizer.add_special_tokens([AddedToken(token, lstrip=lstrip, normalized=False, special=True)])


def _text_of(token: Any) -> Any:
    return token["content"] if isinstance(token, dict) else token


def precompiled_charsmap(data: bytes) -> bytes:
    """Of a sentencepiece model, which is a protocol buffer: field 3, the normalizer's; of that, field 2."""
    return _field(_field(data, 3), 2)


def _field(message: bytes, number: int) -> bytes:
    """The last length-delimited field of that number; empty where there is none."""
    found, at = b"", 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 2:
            length, at = _varint(message, at)
            found = message[at : at + length] if tag >> 3 == number else found
            at += length
        elif tag & 7 == 0:
            _, at = _varint(message, at)
        else:
            at += {1: 8, 5: 4}[tag & 7]
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


_BERT = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
_ROBERTA = {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>", "pad_token": "<pad>", "unk_token": "<unk>"}
_GPT = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
_VANILLA = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

OLDER: Mapping[str, TokenizerDefaults] = {
    "bert": TokenizerDefaults(files=("vocab.txt",), build=_wordpiece, names=_BERT),
    "roberta": TokenizerDefaults(files=("vocab.json", "merges.txt"), build=_byte_level, names=_ROBERTA),
    "gpt": TokenizerDefaults(files=("vocab.json", "merges.txt"), build=_byte_level, names=_GPT),
    "albert": TokenizerDefaults(
        files=("spiece.model",), build=_unigram, names={**_BERT, "pad_token": "<pad>", "unk_token": "<unk>"}
    ),
    "vanilla": TokenizerDefaults(files=("source.spm", "target.spm", "vocab.json"), build=_no_older, names=_VANILLA),
}

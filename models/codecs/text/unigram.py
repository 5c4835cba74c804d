"""ALBERT's tokenizers before `tokenizer.json`: a unigram model in the format of sentencepiece, `spiece.model`."""

from collections.abc import Iterator, Mapping
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram

from models.codecs.text.special_tokens import bert_template, declare_special_tokens
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.codecs.varint import decode_varint
from models.published_tokenizer import TokenizerSource

_NORMALIZER_SPEC, _PRECOMPILED_CHARSMAP = 3, 2
"""Numbers of the fields `ModelProto.normalizer_spec` and `NormalizerSpec.precompiled_charsmap`.

Source: sentencepiece_model.proto.
"""
_MAX_VARINT_BYTES = 10


def read_unigram(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of a folder with `spiece.model`. Source: Kudo 2018; Lan et al. 2020, section 4.1."""
    pieces = SentencePieceProcessor(model_proto=source.read("spiece.model"))
    vocab = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    tokenizer = Tokenizer(Unigram(vocab, unk_id=pieces.unk_id(), byte_fallback=False))
    tokenizer.normalizer = _normalizer(read_charsmap(pieces.serialized_model_proto()), source.settings)
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    declare_special_tokens(tokenizer, source.settings)
    tokenizer.post_processor = bert_template(tokenizer, source)
    return TokenizersCodec.of_checkpoint(tokenizer, source)


def _normalizer(charsmap: bytes, settings: Mapping[str, Any]) -> normalizers.Normalizer:
    """Return ALBERT's normaliser: of quotes, accents and case, then the model's own, then of repeated spaces."""
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.get("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    if charsmap:
        steps.append(normalizers.Precompiled(charsmap))
    steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    return normalizers.Sequence(steps)


def read_charsmap(model: bytes) -> bytes:
    """Return the compiled replacements of characters of a sentencepiece model; empty if it has none.

    The model is a protocol buffer. The library offers no access to this field without the package `protobuf`.
    """
    return _read_field(_read_field(model, _NORMALIZER_SPEC), _PRECOMPILED_CHARSMAP)


def _read_field(message: bytes, number: int) -> bytes:
    """Return the last field of bytes with this number in a protocol buffer; empty if there is none."""
    values = [value for field, value in read_fields(message) if field == number and isinstance(value, bytes)]
    return values[-1] if values else b""


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a protocol buffer that is a varint or of bytes.

    Source: https://protobuf.dev/programming-guides/encoding/
    """
    at = 0
    while at < len(message):
        tag, at = decode_varint(message, at, max_bytes=_MAX_VARINT_BYTES)
        match tag & 7:
            case 0:  # a varint
                number, at = decode_varint(message, at, max_bytes=_MAX_VARINT_BYTES)
                yield tag >> 3, number
            case 1:  # 64 bits
                at += 8
            case 2:  # bytes, after their length
                length, start = decode_varint(message, at, max_bytes=_MAX_VARINT_BYTES)
                at = start + length
                yield tag >> 3, message[start:at]
            case 5:  # 32 bits
                at += 4
            case wire_type:
                raise ValueError(f"the protocol buffer has a field of the unknown type {wire_type} before byte {at}")

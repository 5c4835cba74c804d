"""Marian's tokenizers: a sentencepiece model splits texts of each language, and `vocab.json` has the ids of pieces."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor
from typing_extensions import override

from models.cancellation import stop_if_abandoned
from models.codecs.text.added_tokens import AddedTokens
from models.codecs.text.codec import TextCodec
from models.codecs.text.parting import part_bounds, places_for_sentencepiece
from models.codecs.text.sizes import TextSizes
from models.codecs.text.special_tokens import SpecialTokens
from models.errors import CheckpointError, InvalidItems, Problem
from models.json_files import read_json
from models.published_tokenizer import EncodingSettings, TokenizerSource
from models.tasks.text import Details, Tokens, TruncationSide

_LANGUAGE_CODE = re.compile(">>.*?<<", re.DOTALL)
_SPACE = "▁"
Ids = NDArray[np.int64]
Offsets = NDArray[np.int64]
_NO_PAIRS = "this model reads one text at a time, no pairs"


class MarianCodec(TextCodec):
    """Encodes source texts and decodes target texts.

    A source text may begin with the code of the target language, such as `>>de<<`.
    """

    has_target = True

    def __init__(
        self,
        source: SentencePieceProcessor,
        target: SentencePieceProcessor,
        source_ids: Mapping[str, int],
        target_ids: Mapping[str, int],
        special: SpecialTokens,
        max_tokens: int,
        added: AddedTokens,
        encoding: EncodingSettings,
    ) -> None:
        self._source, self._target = source, target
        self._source_ids, self._target_ids = source_ids, target_ids
        self._target_pieces = {token_id: piece for piece, token_id in target_ids.items()}
        self._decoder = source if source_ids is target_ids else target
        self._unknown_id, self._end_id = special.unknown or 0, special.end or 0
        self._target_pieces |= {token_id: token for token, token_id in added.ids.items()}
        self._added, self.n_added_tokens = added, len(added.ids.keys() - source_ids.keys())
        self.special, self.max_tokens, self.encoding = special, max_tokens, encoding
        self.vocab_size = max(*source_ids.values(), *added.ids.values()) + 1
        self.sizes = TextSizes(source.normalize, counts_bytes=_has_bytes(source))
        self.places = places_for_sentencepiece(source, added.ids)

    @override
    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Tokens:
        if pair is not None:
            raise InvalidItems(Problem(_NO_PAIRS))
        ids, offsets = self._split(text)
        return self._to_tokens(text, ids, offsets, add_end=add_special_tokens)

    @override
    def encode_target(self, text: str) -> Tokens:
        pieces = self._target.encode(text, out_type=str)
        ids = [self._target_ids.get(piece, self._unknown_id) for piece in pieces]
        return Tokens.of_ids([*ids, self._end_id], self.special.all)

    @override
    def encode_truncated(self, text: str, pair: str | None = None, side: TruncationSide | None = None) -> Tokens:
        ids, offsets = self._split(text)
        n_kept = self.truncated_length - 1
        is_left = self.encoding.truncates_left if side is None else side == "left"
        kept = slice(max(len(ids) - n_kept, 0), None) if is_left else slice(n_kept)
        return self._to_tokens(text, ids[kept], offsets[kept], add_end=True)

    @override
    def windows(self, text: str, pair: str, stride: int | None = None) -> list[Tokens]:
        raise InvalidItems(Problem(_NO_PAIRS))

    @override
    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        text = ""
        pieces: list[str] = []
        for token_id in ids:
            if token_id not in self.special.all:
                pieces.append(self.token(token_id))
            elif not skip_special_tokens:
                text += self._decoder.decode_pieces(pieces) + self.token(token_id) + " "
                pieces = []
        text += self._decoder.decode_pieces(pieces)
        return str(text).replace(_SPACE, " ").strip()

    @override
    def token(self, token_id: int) -> str:
        return self._target_pieces.get(token_id, "")

    @override
    def id_of(self, token: str) -> int | None:
        return self._source_ids.get(token, self._added.ids.get(token))

    def _split(self, text: str) -> tuple[Ids, Offsets]:
        """Return the ids of the pieces of a source text, and the offsets of their characters, `[T, 2]`."""
        parts = []
        for start, end in pairwise(part_bounds(text, self.places)):
            stop_if_abandoned()
            if start == 0:
                parts.append(self._split_part(text[:end]))
                continue
            # The character before the part is a word by itself, so that the part is not taken for a text's beginning.
            ids, offsets = self._split_part(text[start - 1 : end])
            n_before = len(self._split_part(text[start - 1])[0])
            parts.append((ids[n_before:], offsets[n_before:] + (start - 1)))
        all_ids, all_offsets = zip(*parts, strict=True)
        return np.concatenate(all_ids), np.concatenate(all_offsets)

    def _split_part(self, text: str) -> tuple[Ids, Offsets]:
        """Return the same of a short text or a part of a text."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        spans = [(0, len(text), None)] if self.encoding.splits_special_tokens else self._added.split(text)
        for start, end, token_id in spans:
            found = ([token_id], [(0, end - start)]) if token_id is not None else self._split_plain(text[start:end])
            ids += found[0]
            offsets += [(start + first, start + last) for first, last in found[1]]
        return np.array(ids, np.int64), np.array(offsets, np.int64).reshape(-1, 2)

    def _split_plain(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the same of a text without added tokens, which may begin with the code of a language."""
        code = _LANGUAGE_CODE.match(text)
        n_code = code.end() if code else 0
        mapping = self._source.encode(text[n_code:], out_type="offset_mapping")
        pieces = [code.group()] if code else []
        offsets = [(0, n_code)] if code else []
        pieces += mapping["pieces"]
        offsets += [(n_code + start, n_code + end) for start, end in mapping["offsets"]]
        return [self._source_ids.get(piece, self._unknown_id) for piece in pieces], offsets

    def _to_tokens(self, text: str, ids: Ids, offsets: Offsets, *, add_end: bool) -> Tokens:
        if add_end:
            ids = np.append(ids, self._end_id)

        def details() -> Details:
            places = [(first, last) for first, last in offsets.tolist()]
            texts: list[int | None] = [0] * len(places)
            n_special = len(ids) - len(places)
            return Details(offsets=places + [(0, 0)] * n_special, texts=texts + [None] * n_special)

        return Tokens(ids=ids, type_ids=np.zeros_like(ids), details=details, sources=(text,))


def _has_bytes(pieces: SentencePieceProcessor) -> bool:
    """Return whether a model writes what it does not know as bytes."""
    return any(map(pieces.is_byte, range(pieces.get_piece_size())))


def read_marian(source: TokenizerSource) -> MarianCodec:
    """Return the codec of a folder with `source.spm`, `target.spm` and `vocab.json`.

    If the settings have `separate_vocabs`, `target_vocab.json` holds the ids of the target language.

    Raises:
        CheckpointError: the vocabulary lacks a special token.
    """
    folder, settings = source.folder, source.settings
    encoder, decoder = (SentencePieceProcessor(model_proto=source.read(file)) for file in ("source.spm", "target.spm"))
    vocab: Mapping[str, int] = read_json(folder, source.name, "vocab.json")
    target_vocab = vocab
    if settings.get("separate_vocabs") and (folder / "target_vocab.json").exists():
        target_vocab = read_json(folder, source.name, "target_vocab.json")
    ids = {role: vocab.get(settings[role]) for role in ("pad_token", "unk_token", "eos_token")}
    if missing := [settings[role] for role, token_id in ids.items() if token_id is None]:
        raise CheckpointError(f"{source.name}: vocab.json lacks the special tokens {missing}")
    added = AddedTokens(source, vocab)
    special = SpecialTokens(
        padding=ids["pad_token"],
        unknown=ids["unk_token"],
        end=ids["eos_token"],
        all=added.special_ids,
    )
    return MarianCodec(encoder, decoder, vocab, target_vocab, special, source.max_tokens, added, source.encoding)

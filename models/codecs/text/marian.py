"""Marian's tokenizers: one sentencepiece model a language cuts a text into pieces, `vocab.json` numbers them."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sentencepiece import SentencePieceProcessor

from models.codecs.text.codec import Special, TextCodec
from models.errors import CheckpointError, InvalidItems, Problem
from models.tasks.text import Details, Tokens

_LANGUAGE = re.compile(">>.+<<")
_SPACE = "▁"


class MarianCodec(TextCodec):
    """Source texts in, target texts out. A text may begin with the code of the target language, `>>de<<`."""

    crosses = True

    def __init__(
        self,
        pieces: tuple[SentencePieceProcessor, SentencePieceProcessor],
        vocabs: tuple[Mapping[str, int], Mapping[str, int]],
        special: Special,
        max_tokens: int,
    ) -> None:
        self._source, self._target = pieces
        self._source_ids, self._target_ids = vocabs
        self._tokens_by_id = {number: piece for piece, number in self._target_ids.items()}
        self._shares_vocab = vocabs[0] is vocabs[1]
        self.special, self.max_tokens = special, max_tokens
        self.vocab_size = max(self._source_ids.values()) + 1

    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Tokens:
        """See `TextCodec.encode`.

        Raises:
            InvalidItems: a pair; there is no second text to translate.
        """
        if pair is not None:
            raise InvalidItems(Problem("this model reads one text at a time, no pairs"))
        return self._end(text, *self._cut_up(text), add_special_tokens=add_special_tokens)

    def encode_target(self, text: str) -> Tokens:
        """A text in the target language, with its end."""
        unknown = self.special.unknown or 0
        ids = [self._target_ids.get(piece, unknown) for piece in self._target.encode(text, out_type=str)]
        return self.of_ids([*ids, self._ending()])

    def encode_truncated(self, text: str, pair: str | None = None) -> Tokens:
        """See `TextCodec.encode_truncated`."""
        ids, offsets = self._cut_up(text)
        room = self.max_tokens - 1
        return self._end(text, ids[:room], offsets[:room], add_special_tokens=True)

    def windows(self, text: str, pair: str, stride: int) -> list[Tokens]:
        """See `TextCodec.windows`; there are no pairs here."""
        raise InvalidItems(Problem("this model reads one text at a time, no pairs"))

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """See `TextCodec.decode`."""
        kept = [one for one in ids if not (skip_special_tokens and one in self.special.all)]
        processor = self._source if self._shares_vocab else self._target
        text = ""
        run: list[str] = []
        for one in kept:
            if one in self.special.all:
                text += processor.decode_pieces(run) + self.token(one) + " "
                run = []
            else:
                run.append(self.token(one))
        text += processor.decode_pieces(run)
        return str(text).replace(_SPACE, " ").strip()

    def token(self, token_id: int) -> str:
        """See `TextCodec.token`."""
        return str(self._tokens_by_id.get(token_id, ""))

    def id_of(self, token: str) -> int | None:
        """See `TextCodec.id_of`."""
        return self._source_ids.get(token)

    def _cut_up(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        code = _LANGUAGE.match(text)
        begin = code.end() if code else 0
        ids = [self._number(code.group())] if code else []
        offsets = [(0, begin)] if code else []
        cut = self._source.encode(text[begin:], out_type="offset_mapping")
        ids += [self._number(piece) for piece in cut["pieces"]]
        offsets += [(begin + start, begin + end) for start, end in cut["offsets"]]
        return ids, offsets

    def _end(self, text: str, ids: list[int], offsets: list[tuple[int, int]], *, add_special_tokens: bool) -> Tokens:
        texts: list[int | None] = [0] * len(ids)
        if add_special_tokens:
            ids, offsets, texts = [*ids, self._ending()], [*offsets, (0, 0)], [*texts, None]
        n = len(ids)
        details = Details(offsets=offsets, texts=texts, words=[None] * n)
        return Tokens(
            ids=np.array(ids, np.int64), type_ids=np.zeros(n, np.int64), details=lambda: details, sources=(text,)
        )

    def _number(self, piece: str) -> int:
        number = self._source_ids.get(piece, self.special.unknown)
        return 0 if number is None else number

    def _ending(self) -> int:
        return 0 if self.special.end is None else self.special.end


def read_marian(folder: Path, *, max_tokens: int, settings: Mapping[str, Any]) -> MarianCodec:
    """From `source.spm`, `target.spm`, `vocab.json` and, with separate vocabularies, `target_vocab.json`.

    Raises:
        CheckpointError: a special token is not in the vocabulary.
    """
    source, target = (SentencePieceProcessor(model_file=str(folder / f"{side}.spm")) for side in ("source", "target"))
    vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text())
    second = folder / "target_vocab.json"
    target_vocab = json.loads(second.read_text()) if settings.get("separate_vocabs") and second.exists() else vocab
    roles = {"padding": "pad_token", "unknown": "unk_token", "end": "eos_token"}
    ids = {role: vocab.get(settings[name]) for role, name in roles.items()}
    if missing := [settings[roles[role]] for role, number in ids.items() if number is None]:
        raise CheckpointError(f"vocab.json lacks the special tokens {missing}")
    special = Special(**ids, all=frozenset(number for number in ids.values() if number is not None))
    return MarianCodec((source, target), (vocab, target_vocab), special, max_tokens)

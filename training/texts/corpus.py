"""Texts as the rows of tokens that stages run over.

A row that is shorter than the longest is filled up; its length is kept beside it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from rich.progress import track
from tokenizers import Tokenizer
from torch import Tensor

from models.codecs.text.codec import FastCodec
from models.layers.packing import Packed
from models.tasks.text import Tokens
from training.errors import DataError
from training.recipe import Batch

BATCH_SIZE = 1000
PADDING = -1
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")

Row = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True)
class Rows:
    """`ids` and `types` `[n, T]`, filled up with -1 and 0, and `lengths` `[n]`; all int32."""

    ids: Tensor
    types: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, texts: Sequence[Tokens]) -> "Rows":
        """Texts of any lengths."""
        lengths = torch.tensor([len(text) for text in texts], dtype=torch.int32)
        ids = [torch.from_numpy(text.ids) for text in texts]
        types = [torch.from_numpy(text.type_ids) for text in texts]
        return cls(pad_rows(ids), pad_rows(types, 0), lengths)

    @property
    def batch(self) -> Batch:
        """As the items of a stage."""
        return self.ids, self.types, self.lengths


def pack(batch: Batch) -> Packed:
    """Of the three tensors of `Rows.batch`."""
    ids, types, lengths = batch
    return Packed.of_rows(ids, lengths.tolist(), types)


def pad_rows(rows: Sequence[Tensor], value: int = PADDING) -> Tensor:
    """Rows of any lengths as `[n, T]`, int32."""
    return torch.nn.utils.rnn.pad_sequence([row.int() for row in rows], batch_first=True, padding_value=value)


def encode_all(codec: FastCodec, texts: Iterable[str | tuple[str, str]], name: str) -> list[Tokens]:
    """Texts or pairs, cut to what the model takes, with a progress bar."""
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    return [codec.encode_truncated(*pair) for pair in track(pairs, f"tokens of {name}")]


def tokenise_documents(tokenizer: Tokenizer, texts: Sequence[str], name: str) -> list[Row]:
    """Each text's tokens, without special ones, int32; with a progress bar."""
    rows: list[Row] = []
    for start in track(range(0, len(texts), BATCH_SIZE), f"tokens of {name}"):
        encodings = tokenizer.encode_batch_fast(list(texts[start : start + BATCH_SIZE]), add_special_tokens=False)
        rows += [np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings]
    return rows


def split_sentences(paragraph: str) -> list[str]:
    """All of it: a sentence ends where a capital follows its mark."""
    return _SENTENCE_END.split(paragraph)


def sentence_rows(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    """As many whole sentences of one text as `length` tokens hold, one row after the other; with a progress bar.

    Each line of a text is a paragraph. A sentence of more than `length` tokens is cut; a row of one sentence is left
    out.

    Returns:
        The rows `[n, length]`, int32, filled up with -1, and where in them a sentence begins, bool.

    Raises:
        DataError: no text has two sentences of together `length` tokens or fewer.
    """
    rows: list[Row] = []
    begins: list[list[int]] = []
    for text in track(texts, "sentences"):
        its = [one for paragraph in text.splitlines() for one in split_sentences(paragraph)]
        encodings = tokenizer.encode_batch_fast(its, add_special_tokens=False)
        for group in _groups([encoding.ids[:length] for encoding in encodings], length):
            if len(group) > 1:
                rows.append(np.concatenate([np.asarray(one, dtype=np.int32) for one in group]))
                begins.append([sum(map(len, group[:number])) for number in range(len(group))])
    if not rows:
        raise DataError(f"no text has two sentences of together {length} tokens; there is nothing to train on")
    found = torch.full((len(rows), length), PADDING, dtype=torch.int32)
    is_begin = torch.zeros(found.shape, dtype=torch.bool)
    for number, (row, positions) in enumerate(zip(rows, begins, strict=True)):
        found[number, : len(row)] = torch.from_numpy(row)
        is_begin[number, positions] = True
    return found, is_begin


def _groups(sentences: Iterable[Sequence[int]], length: int) -> Iterator[list[Sequence[int]]]:
    """Neighbours that fit into `length` tokens together; empty ones are skipped."""
    group: list[Sequence[int]] = []
    n_tokens = 0
    for sentence in filter(len, sentences):
        if n_tokens + len(sentence) > length:
            yield group
            group, n_tokens = [], 0
        group.append(sentence)
        n_tokens += len(sentence)
    yield group


def document_pieces(rows: Iterable[Row], length: int) -> Tensor:
    """All of each document in pieces of `length` tokens, `[n, length]` int32; shorter documents are left out.

    The last piece of a document reaches back into the one before it.

    Raises:
        DataError: every document is shorter.
    """
    long = [row for row in rows if len(row) >= length]
    starts = [sorted({*range(0, len(row) - length + 1, length), len(row) - length}) for row in long]
    if not long:
        raise DataError(f"no document has {length} tokens; there is nothing to train on")
    cut = [row[start : start + length] for row, its in zip(long, starts, strict=True) for start in its]
    return torch.from_numpy(np.stack(cut))


def token_stream(rows: Iterable[Row], separator: int, length: int) -> Tensor:
    """All documents, each followed by the separator, as one row cut into `[n, length]`, int32; the rest is left out."""
    ends = np.asarray([separator], dtype=np.int32)
    flat = np.concatenate(list(chain.from_iterable((row, ends) for row in rows)))
    n = len(flat) // length
    return torch.from_numpy(flat[: n * length].reshape(n, length))

"""Turn texts into the rows of tokens that stages train on.

Rows are padded to the length of the longest; their lengths are stored beside them.
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

from models.codecs.text import TokenizersCodec
from models.tasks.text import Tokens
from models.text.ragged_batch import RaggedBatch
from training.errors import DataError
from training.recipe import Batch

BATCH_SIZE = 1000
PADDING = -1
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")

TokenIds = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True)
class Rows:
    """Padded rows of tokens: `ids` and `types` `[n, T]`, padded with -1 and 0, and `lengths` `[n]`; all int32."""

    ids: Tensor
    types: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, texts: Sequence[Tokens]) -> "Rows":
        """Pad texts of any lengths."""
        lengths = torch.tensor([len(text) for text in texts], dtype=torch.int32)
        ids = [torch.from_numpy(text.ids) for text in texts]
        types = [torch.from_numpy(text.type_ids) for text in texts]
        return cls(pad_rows(ids), pad_rows(types, 0), lengths)

    @property
    def batch(self) -> Batch:
        """The three tensors in the form of a stage's items."""
        return self.ids, self.types, self.lengths


def ragged_batch(batch: Batch) -> RaggedBatch:
    """Return the three tensors of `Rows.batch` without their padding."""
    ids, types, lengths = batch
    return RaggedBatch.of_rows(ids, lengths.tolist(), types)


def pad_rows(rows: Sequence[Tensor], value: int = PADDING) -> Tensor:
    """Pad rows of any lengths with `value` to `[n, T]`, int32."""
    return torch.nn.utils.rnn.pad_sequence([row.int() for row in rows], batch_first=True, padding_value=value)


def encode_all(codec: TokenizersCodec, texts: Iterable[str | tuple[str, str]], name: str) -> list[Tokens]:
    """Encode texts or pairs, truncated to the model's longest input, and show a progress bar."""
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    return [codec.encode_truncated(*pair) for pair in track(pairs, f"tokens of {name}")]


def tokenise_documents(tokenizer: Tokenizer, texts: Sequence[str], name: str) -> list[TokenIds]:
    """Return each text's tokens as int32, without special tokens, and show a progress bar."""
    rows: list[TokenIds] = []
    for start in track(range(0, len(texts), BATCH_SIZE), f"tokens of {name}"):
        encodings = tokenizer.encode_batch_fast(list(texts[start : start + BATCH_SIZE]), add_special_tokens=False)
        rows += [np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings]
    return rows


def split_sentences(paragraph: str) -> list[str]:
    """Split a paragraph after each `.`, `!` or `?` that a space and a capital letter follow."""
    return _SENTENCE_END.split(paragraph)


def sentence_rows(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    """Fill rows of at most `length` tokens with consecutive whole sentences of one text, and show a progress bar.

    Each line of a text is a paragraph. A sentence of more than `length` tokens is truncated. Rows of a single sentence
    are left out.

    Returns:
        The rows `[n, length]`, int32, padded with -1, and whether a sentence begins at each position, bool.

    Raises:
        DataError: no text has two consecutive sentences of together at most `length` tokens.
    """
    rows: list[TokenIds] = []
    starts: list[list[int]] = []
    for text in track(texts, "sentences"):
        sentences = [sentence for paragraph in text.splitlines() for sentence in split_sentences(paragraph)]
        encodings = tokenizer.encode_batch_fast(sentences, add_special_tokens=False)
        for group in _group_sentences([encoding.ids[:length] for encoding in encodings], length):
            if len(group) > 1:
                rows.append(np.concatenate([np.asarray(ids, dtype=np.int32) for ids in group]))
                starts.append([sum(map(len, group[:number])) for number in range(len(group))])
    if not rows:
        raise DataError(f"no text has two sentences of together {length} tokens or fewer; there is nothing to train on")
    padded = torch.full((len(rows), length), PADDING, dtype=torch.int32)
    is_begin = torch.zeros(padded.shape, dtype=torch.bool)
    for number, (row, positions) in enumerate(zip(rows, starts, strict=True)):
        padded[number, : len(row)] = torch.from_numpy(row)
        is_begin[number, positions] = True
    return padded, is_begin


def _group_sentences(sentences: Iterable[Sequence[int]], length: int) -> Iterator[list[Sequence[int]]]:
    """Group consecutive sentences that fit into `length` tokens together, skipping empty ones."""
    group: list[Sequence[int]] = []
    n_tokens = 0
    for sentence in filter(len, sentences):
        if n_tokens + len(sentence) > length:
            yield group
            group, n_tokens = [], 0
        group.append(sentence)
        n_tokens += len(sentence)
    yield group


def document_pieces(rows: Iterable[TokenIds], length: int) -> Tensor:
    """Cut documents into pieces of `length` tokens, `[n, length]` int32; shorter documents are left out.

    The last piece of a document overlaps the piece before it, so that no token is lost.

    Raises:
        DataError: every document is shorter than `length`.
    """
    long = [row for row in rows if len(row) >= length]
    starts = [sorted({*range(0, len(row) - length + 1, length), len(row) - length}) for row in long]
    if not long:
        raise DataError(f"no document has {length} tokens or more; there is nothing to train on")
    cut = [row[start : start + length] for row, row_starts in zip(long, starts, strict=True) for start in row_starts]
    return torch.from_numpy(np.stack(cut))


def token_stream(rows: Iterable[TokenIds], separator: int, length: int) -> Tensor:
    """Concatenate documents, each followed by the separator, and cut them into rows `[n, length]`, int32.

    The incomplete last row is left out.
    """
    ends = np.asarray([separator], dtype=np.int32)
    flat = np.concatenate(list(chain.from_iterable((row, ends) for row in rows)))
    n = len(flat) // length
    return torch.from_numpy(flat[: n * length].reshape(n, length))

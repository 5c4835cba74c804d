"""Sequences in the making: they join a running batch, take a step together, and leave it when they are done.

Shapes: `B` running rows, `V` vocabulary.
"""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidItems, Problem
from models.generation.beam_search import BeamSearch
from models.generation.prompt_cache import PromptCache
from models.generation.sampling import GenerationRules
from models.generation.scores import TokenScores
from models.generation.search import Continuation, Search, SingleSearch
from models.layers.packed_linear import PackedLinear
from models.ops.cuda_graphs import are_recorded
from models.tasks.text import (
    DEFAULT_NEW_TOKENS,
    GeneratedSequence,
    GeneratedToken,
    GenerateRequest,
    GenerateResult,
    Progress,
    Tokens,
)
from models.text.text_model import TextModel
from models.text.tokens import tokens_of_ids


def searches(request: GenerateRequest, rules: GenerationRules, prompt: Sequence[int]) -> list[Search]:
    """Those that answer a request: one for all beams, or one for each of its `n` texts."""
    if request.num_beams > 1:
        return [BeamSearch(request, rules, prompt)]
    return [SingleSearch(request, rules, prompt, index) for index in range(request.n)]


KeyT = TypeVar("KeyT", bound=Hashable)


class Generator(TextModel):
    """A model that continues texts. A family gives the two passes, and what a cache is made of."""

    rules: GenerationRules = GenerationRules()
    reads_in_parts = False
    """Whether a prompt may be read a part at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.words_product: PackedLinear | None = None

    @abstractmethod
    def shared_words(self) -> Tensor | None:
        """The embeddings `[V, D]` that words are scored by as well; None where that has a matrix of its own."""

    def scored(self, hidden: Tensor, words: Tensor) -> Tensor:
        """`[…, D]` by the shared embeddings, to `[…, V]`."""
        if self.words_product is not None:
            return cast("Tensor", self.words_product(hidden))
        return functional.linear(hidden, words)

    def pack_output_embeddings(self, dtype: torch.dtype, *, int8: bool) -> None:
        """Keep the shared embeddings a second time, laid out for products with values of this type."""
        words = self.shared_words()
        if words is not None:
            self.words_product = PackedLinear(words, None, int8=int8, dtype=dtype)
            self.words_product.n_weights = 0

    @abstractmethod
    def new_cache(self) -> Any:
        """Without rows. It has `lengths`, `arrange`, `adopt`, `take_back`, and a length, as `KeyValueCache` has."""

    @abstractmethod
    def prefill(self, parts: Sequence[Tensor], cache: Any) -> Tensor:
        """Logits `[n, V]` of what follows each part of a prompt, ids `[T]`.

        The first parts continue the rows of the cache, in order; the others are the first of new rows. A model that
        does not read in parts is given whole prompts and a cache without rows.
        """

    @abstractmethod
    def decode(self, token_ids: Tensor, cache: Any) -> TokenScores:
        """Of what follows these tokens, `[B]`, which continue the rows; see `stepped`."""

    @abstractmethod
    def room(self, tokens: Tokens) -> int:
        """The most tokens that can follow this prompt."""

    def opening(self, tokens: Tokens) -> list[int]:
        """What the decoder has read before the first new token."""
        ids: list[int] = tokens.ids.tolist()
        return ids

    def generation(self, n_remembered: int = 0) -> "RunningBatch[Any]":
        """An empty batch of running sequences, which remembers `n_remembered` tokens of prompts that it has read."""
        return RunningBatch(self, n_remembered)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """All of them, to the end.

        Raises:
            InvalidItems: a prompt and its `max_new_tokens` exceed the context, or a parameter is out of range.
        """
        generation: RunningBatch[int] = self.generation()
        generation.add(list(enumerate(requests)))
        told: list[list[Progress]] = [[] for _ in requests]
        while generation.n_rows:
            for place, progress in generation.step():
                told[place].append(progress)
        return [collected(progress) for progress in told]

    def cut(self, tokens: Tokens, n_new: int) -> Tokens:
        """As much of a text as leaves room for `n_new` tokens: its end, which is what is continued."""
        n_kept = max(1, self.n_positions - n_new)
        return tokens if len(tokens) <= n_kept else tokens_of_ids(tokens.ids[-n_kept:].tolist())

    def settled(self, request: GenerateRequest) -> GenerateRequest:
        """The request with what it leaves to the model filled in.

        Raises:
            InvalidItems: it asks for what cannot be.
        """
        wanted = DEFAULT_NEW_TOKENS if request.max_new_tokens is None else request.max_new_tokens
        tokens = self.cut(request.tokens, wanted) if request.truncate else request.tokens
        self.check([tokens])
        room = self.room(tokens)
        n_new = min(wanted, room) if request.max_new_tokens is None else wanted
        if not 1 <= n_new <= room:
            detail = f"after a text of {len(tokens)} tokens this model has room for {room}"
            raise InvalidItems(Problem(f"max_new_tokens is {wanted}; {detail}"))
        settled = replace(request, tokens=tokens, max_new_tokens=n_new)
        for limit, holds in _LIMITS.items():
            if not holds(settled):
                raise InvalidItems(Problem(limit.format(settled)))
        return settled


_LIMITS: dict[str, Callable[[GenerateRequest], bool]] = {
    "temperature is {0.temperature}; it must be positive": lambda r: r.temperature > 0,
    "top_p is {0.top_p}; it must be above 0 and at most 1": lambda r: r.top_p is None or 0 < r.top_p <= 1,
    "top_k is {0.top_k}; it must be at least 1": lambda r: r.top_k is None or r.top_k >= 1,
    "repetition_penalty is {0.repetition_penalty}; it must be positive": lambda r: r.repetition_penalty > 0,
    "min_new_tokens is {0.min_new_tokens}; it must not exceed max_new_tokens, {0.max_new_tokens}": lambda r: (
        r.max_new_tokens is None or r.min_new_tokens <= r.max_new_tokens
    ),
    "num_beams above 1 is a search, and do_sample a draw; choose one: num_beams is {0.num_beams}": lambda r: (
        r.num_beams == 1 or not r.do_sample
    ),
    "n is {0.n}; it must not exceed num_beams, {0.num_beams}, of which the best are answered": lambda r: (
        r.num_beams == 1 or r.n <= r.num_beams
    ),
}
"""What must hold of a settled request, by what is said of one of which it does not."""


N_READ_BESIDE, N_READ_ALONE = 128, 1024
"""The most tokens of prompts that are read before a step: beside running texts, which wait for it; where none run."""


GPU_READS = 16
"""Times as many, in less time than a step takes."""


@dataclass(eq=False, slots=True)
class _Reading(Generic[KeyT]):
    """A prompt that is being read, for one search or several; the first `n_read` tokens are."""

    key: KeyT
    prompt: Tensor
    searches: list[Search]
    n_read: int = 0


@dataclass(eq=False, slots=True)
class _Running(Generic[KeyT]):
    """A search and its rows; before its first step, one row for its prompt, which others may share."""

    key: KeyT
    search: Search
    rows: list[int]


class RunningBatch(Generic[KeyT]):
    """A running batch. Each request has a key, by which its progress is told.

    Prompts are read in order of arrival, in rows of their own until they are whole, some tokens a step: those that run
    already do not wait for a long one. Where a prompt begins as a remembered one does, that is not read again.
    """

    def __init__(self, model: Generator, n_remembered: int = 0) -> None:
        self._model = model
        self._cache, self._nursery = model.new_cache(), model.new_cache()
        self._reading: list[_Reading[KeyT]] = []
        self._running: list[_Running[KeyT]] = []
        self._keys: dict[KeyT, None] = {}
        self._scores = TokenScores(torch.empty(0))
        self._prefixes = PromptCache(n_remembered if model.reads_in_parts else 0)
        self.n_read = 0
        """Tokens of prompts that have been read."""

    @property
    def n_rows(self) -> int:
        """Rows that run now, and those of prompts that are still to be read."""
        return len(self._cache) + sum(_rows_of(reading.searches) for reading in self._reading)

    def add(self, requests: Sequence[tuple[KeyT, GenerateRequest]]) -> None:
        """Take in requests: their prompts are read from the next step on.

        Raises:
            InvalidItems: one of them cannot be; none is taken in.
        """
        requests = [(key, self._model.settled(request)) for key, request in requests]
        for key, request in requests:
            begun = searches(request, self._model.rules, self._model.opening(request.tokens))
            self._reading.append(_Reading(key, torch.from_numpy(request.tokens.ids), begun))
            self._keys[key] = None

    def remove(self, is_gone: Callable[[KeyT, int | None], bool]) -> None:
        """Take out the searches that `is_gone` says, given a request's key and which of its texts, None for all."""
        for reading in self._reading:
            reading.searches = [one for one in reading.searches if not is_gone(reading.key, one.index)]
        self._nursery.arrange([row for row in range(len(self._nursery)) if self._reading[row].searches])
        self._reading = [reading for reading in self._reading if reading.searches]
        kept = [running for running in self._running if not is_gone(running.key, running.search.index)]
        if len(kept) < len(self._running):
            self._arrange([(running, running.rows) for running in kept])

    def ended(self) -> list[KeyT]:
        """The requests of which nothing is left; each is named once."""
        left = {running.key for running in self._running} | {reading.key for reading in self._reading}
        gone = [key for key in self._keys if key not in left]
        for key in gone:
            del self._keys[key]
        return gone

    def _read(self) -> None:
        """Parts of the prompts that came first, or all of them; those that are whole begin to run."""
        room = N_READ_BESIDE if self._running else N_READ_ALONE
        room *= GPU_READS if self._model.device.type == "cuda" else 1
        parts: list[Tensor] = []
        for row, reading in enumerate(self._reading):
            if room <= 0:
                break
            if row == len(self._nursery) and self._model.reads_in_parts:
                reading.n_read = self._prefixes.begin(reading.prompt, self._nursery)
            rest = reading.prompt[reading.n_read :]
            part = rest[:room] if self._model.reads_in_parts else rest
            parts.append(part)
            room -= len(part)
            reading.n_read += len(part)
        logits = self._model.prefill(parts, self._nursery)
        self.n_read += sum(len(part) for part in parts)
        whole = [row for row in range(len(parts)) if self._reading[row].n_read == len(self._reading[row].prompt)]
        self._hatch(whole, logits[whole])

    def _hatch(self, rows: Sequence[int], logits: Tensor) -> None:
        """Let the prompts in these rows of the nursery run."""
        if not rows:
            return
        self._scores = TokenScores(torch.cat([self._scores.logits, logits]) if len(self._cache) else logits)
        for row, number in enumerate(rows, start=len(self._cache)):
            reading = self._reading[number]
            self._running += [_Running(reading.key, search, [row]) for search in reading.searches]
            self._prefixes.keep(reading.prompt, self._nursery, number)
        self._cache.adopt(self._nursery, rows)
        self._nursery.arrange([row for row in range(len(self._nursery)) if row not in rows])
        self._reading = [reading for number, reading in enumerate(self._reading) if number not in rows]

    def step(self) -> list[tuple[KeyT, Progress]]:
        """Read on, then the next token of every row; what is new of each request."""
        if self._reading:
            self._read()
        if not self._running:
            return []
        scores, ahead = self._scores, self._ahead()
        chosen = [(running, running.search.advance(scores, running.rows)) for running in self._running]
        going = [(running, continuations) for running, continuations in chosen if not running.search.done]
        if ahead is not None and any(its[0].token != scores.likeliest[one.rows[0]][0] for one, its in going):
            self._cache.take_back()
            ahead = None
        self._scores = scores if ahead is None else ahead
        if ahead is None or len(going) < len(chosen):
            self._arrange([(running, [running.rows[c.parent] for c in its]) for running, its in going])
        if going and ahead is None:
            self._scores = self._model.decode(self._next_tokens(going), self._cache)
        return [(running.key, progress) for running, _ in chosen for progress in _emptied(running.search.outbox)]

    def _ahead(self) -> TokenScores | None:
        """The scores after this step, where a GPU can begin with the next one before anybody has seen its tokens.

        They are the likeliest, unless a search is forbidden that. Rows whose search ends have then gone on in vain.
        """
        running = [one.search for one in self._running]
        if not are_recorded(self._model.device) or len(self._cache) != len(running):
            return None
        if not all(search.is_plain for search in running) or all(search.is_last for search in running):
            return None
        if max(self._cache.lengths) == self._model.n_positions:
            return None
        self._scores.ask()
        return self._model.decode(self._scores.best[0], self._cache)

    def _next_tokens(self, going: Sequence[tuple[_Running[KeyT], list[Continuation]]]) -> Tensor:
        tokens = [0] * len(self._cache)
        for running, continuations in going:
            for row, continuation in zip(running.rows, continuations, strict=True):
                tokens[row] = continuation.token
        return torch.tensor(tokens)

    def _arrange(self, wanted: Sequence[tuple[_Running[KeyT], list[int]]]) -> None:
        """Give each search rows that continue the ones it wants; as many as can stay where they are."""
        n_rows = sum(len(sources) for _, sources in wanted)
        self._running = [running for running, _ in wanted]
        n_own = len({row for running, _ in wanted for row in running.rows})
        if n_rows == n_own == len(self._cache) and all(running.rows == sources for running, sources in wanted):
            return  # all stay where they are
        sources_of: list[int | None] = [None] * n_rows
        homeless: list[tuple[_Running[KeyT], int, int]] = []
        for running, sources in wanted:
            running.rows = [-1] * len(sources)
            for place, source in enumerate(sources):
                if source < n_rows and sources_of[source] is None:
                    sources_of[source] = source
                    running.rows[place] = source
                else:
                    homeless.append((running, place, source))
        free = (row for row, source in enumerate(sources_of) if source is None)
        for (running, place, source), row in zip(homeless, list(free), strict=True):
            sources_of[row] = source
            running.rows[place] = row
        arranged = [source for source in sources_of if source is not None]
        self._cache.arrange(arranged)
        if arranged != list(range(len(self._scores))):
            self._scores = self._scores.arranged(arranged)


def _rows_of(begun: Sequence[Search]) -> int:
    return sum(search.request.num_beams for search in begun)


def collected(told: Sequence[Progress]) -> GenerateResult:
    """The texts of one request, of all the progress that was told of it."""
    sequences: dict[int, GeneratedSequence] = {}
    tokens: dict[int, list[GeneratedToken]] = {}
    for progress in told:
        so_far = tokens.setdefault(progress.sequence, [])
        if progress.token:
            so_far.append(progress.token)
        if progress.finish_reason:
            sequences[progress.sequence] = GeneratedSequence(
                tokens=tuple(so_far), finish_reason=progress.finish_reason, score=progress.score
            )
    return GenerateResult(sequences=tuple(sequences[index] for index in sorted(sequences)))


def _emptied(outbox: list[Progress]) -> list[Progress]:
    told, outbox[:] = list(outbox), []
    return told

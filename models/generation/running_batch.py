"""The batch of sequences that are generated together: they join it, take each step together, and leave it when done.

Shapes: `T` tokens of a prompt, `V` vocabulary.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from models.generation.beam_search import BeamSearch
from models.generation.generator import Generator
from models.generation.kv_cache import DecoderCache
from models.generation.prompt_cache import PromptCache
from models.generation.requests import complete_request
from models.generation.search import Continuation, Search, SingleSearch
from models.generation.token_scores import NextTokens, TokenScores
from models.ops.cuda_graphs import uses_cuda_graphs
from models.tasks.generation import GenerateRequest, Progress

KeyT = TypeVar("KeyT", bound=Hashable)

MAX_PREFILL_WHILE_DECODING = 128
"""Maximum number of tokens of prompts that are read before a step for which running sequences wait."""

MAX_PREFILL_WHEN_IDLE = 1024
"""Maximum number of tokens of prompts that are read before a step while there are no running sequences."""

GPU_PREFILL_FACTOR = 16
"""Factor of both limits on a GPU, which reads so many tokens in less time than a step takes."""


@dataclass(eq=False, slots=True)
class _WaitingPrompt(Generic[KeyT]):
    """A prompt, ids `[T]`, of which the first `n_read` tokens are read, and the searches that start after it."""

    key: KeyT
    ids: Tensor
    searches: list[Search]
    n_read: int = 0


@dataclass(eq=False, slots=True)
class _RunningSearch(Generic[KeyT]):
    """A search and its rows. Before its first step it has one row, which other searches of its request may share."""

    key: KeyT
    search: Search
    rows: list[int]


class RunningBatch(Generic[KeyT]):
    """The sequences that a model is generating. Each request has a key, with which its progress is returned.

    Prompts are read in order of arrival, some tokens before each step and in a cache of their own, so that running
    sequences do not wait for a long prompt. The keys and values of the last prompts, with up to `max_prefix_tokens`
    tokens together, are kept: what a prompt has in common with the beginning of one of these is not read again.

    Attributes:
        n_prefilled: number of tokens of prompts that were read.
    """

    def __init__(self, model: Generator[Any], max_prefix_tokens: int = 0) -> None:
        self._model = model
        self._cache: DecoderCache = model.new_cache()
        self._prefill_cache: DecoderCache = model.new_cache()
        self._waiting: list[_WaitingPrompt[KeyT]] = []
        self._running: list[_RunningSearch[KeyT]] = []
        self._keys: dict[KeyT, None] = {}
        self._scores = TokenScores(torch.empty(0))
        self._prompt_cache: PromptCache[DecoderCache] = PromptCache(max_prefix_tokens if model.prefills_in_parts else 0)
        self.n_prefilled = 0

    @property
    def n_rows(self) -> int:
        """Count the rows of running sequences, and those that waiting prompts will need."""
        n_waiting = sum(search.request.num_beams for prompt in self._waiting for search in prompt.searches)
        return len(self._cache) + n_waiting

    def add(self, requests: Sequence[tuple[KeyT, GenerateRequest]]) -> None:
        """Add requests, whose prompts are read from the next step on.

        Raises:
            InvalidItems: a request is invalid; none is added.
        """
        complete = [(key, complete_request(self._model, request)) for key, request in requests]
        for key, request in complete:
            prompt = self._model.decoder_prompt(request.tokens)
            searches = new_searches(self._model, request, prompt)
            self._waiting.append(_WaitingPrompt(key, torch.from_numpy(request.tokens.ids), searches))
            self._keys[key] = None

    def remove(self, is_abandoned: Callable[[KeyT, int | None], bool]) -> None:
        """Remove abandoned searches. The function is given a request's key and the index of its text, None for all."""
        for prompt in self._waiting:
            prompt.searches = [search for search in prompt.searches if not is_abandoned(prompt.key, search.index)]
        self._prefill_cache.rearrange([row for row in range(len(self._prefill_cache)) if self._waiting[row].searches])
        self._waiting = [prompt for prompt in self._waiting if prompt.searches]
        kept = [running for running in self._running if not is_abandoned(running.key, running.search.index)]
        if len(kept) < len(self._running):
            self._rearrange([(running, running.rows) for running in kept])

    def take_ended(self) -> list[KeyT]:
        """Return the requests of which nothing is left; each is returned once."""
        left = {running.key for running in self._running} | {prompt.key for prompt in self._waiting}
        ended = [key for key in self._keys if key not in left]
        for key in ended:
            del self._keys[key]
        return ended

    def step(self) -> list[tuple[KeyT, Progress]]:
        """Read waiting prompts, then generate the next token of every row; return the progress of the requests."""
        if self._waiting:
            self._prefill()
        if not self._running:
            return []
        scores, ahead = self._scores, self._decode_ahead()
        chosen = [(running, running.search.advance(scores, running.rows)) for running in self._running]
        going_on = [(running, continuations) for running, continuations in chosen if not running.search.is_done]
        if ahead is not None and any(
            continuations[0].token != scores.likeliest[running.rows[0]][0] for running, continuations in going_on
        ):
            self._cache.drop_last_tokens()
            ahead = None
        self._scores = scores if ahead is None else ahead
        if ahead is None or len(going_on) < len(chosen):
            wanted = [(running, [running.rows[each.parent] for each in nexts]) for running, nexts in going_on]
            self._rearrange(wanted)
        if going_on and ahead is None:
            self._scores = self._model.decode(self._next_tokens(going_on), self._cache)
        return [(running.key, progress) for running, _ in chosen for progress in running.search.take_events()]

    def _prefill(self) -> None:
        """Read the first waiting prompts, or parts of them; those that are whole start to run."""
        room = MAX_PREFILL_WHILE_DECODING if self._running else MAX_PREFILL_WHEN_IDLE
        room *= GPU_PREFILL_FACTOR if self._model.device.type == "cuda" else 1
        parts: list[Tensor] = []
        for row, prompt in enumerate(self._waiting):
            if room <= 0:
                break
            if row == len(self._prefill_cache) and self._model.prefills_in_parts:
                prompt.n_read = self._prompt_cache.start_row(prompt.ids, self._prefill_cache)
            rest = prompt.ids[prompt.n_read :]
            part = rest[:room] if self._model.prefills_in_parts else rest
            parts.append(part)
            room -= len(part)
            prompt.n_read += len(part)
        logits = self._model.prefill(parts, self._prefill_cache)
        self.n_prefilled += sum(len(part) for part in parts)
        whole = [row for row in range(len(parts)) if self._waiting[row].n_read == len(self._waiting[row].ids)]
        if whole:
            self._start_decoding(whole, logits[whole])

    def _start_decoding(self, rows: Sequence[int], logits: Tensor) -> None:
        """Move prompts from these rows of the prefill cache, with the logits after them, to the running sequences."""
        self._scores = TokenScores(torch.cat([self._scores.logits, logits]) if len(self._cache) else logits)
        for new_row, row in enumerate(rows, start=len(self._cache)):
            prompt = self._waiting[row]
            self._running += [_RunningSearch(prompt.key, search, [new_row]) for search in prompt.searches]
            self._prompt_cache.store(prompt.ids, self._prefill_cache, row)
        self._cache.adopt(self._prefill_cache, rows)
        self._prefill_cache.rearrange([row for row in range(len(self._prefill_cache)) if row not in rows])
        self._waiting = [prompt for row, prompt in enumerate(self._waiting) if row not in rows]

    def _decode_ahead(self) -> TokenScores | None:
        """Start the next step with the likeliest tokens, before it is known whether the searches take them.

        A GPU computes it meanwhile. The step is in vain for rows whose search ends, and for all rows if a search takes
        another token. Return None if no step is started.
        """
        searches = [running.search for running in self._running]
        if not uses_cuda_graphs(self._model.device) or len(self._cache) != len(searches):
            return None
        if not all(search.takes_likeliest for search in searches):
            return None
        if all(search.n_generated + 1 == search.request.max_new_tokens for search in searches):
            return None
        if max(self._cache.lengths) == self._model.n_positions:
            return None
        self._scores.request_likeliest()
        return self._model.decode(self._scores.likeliest_tokens(), self._cache)

    def _next_tokens(self, going_on: Sequence[tuple[_RunningSearch[KeyT], list[Continuation]]]) -> NextTokens:
        tokens = [0] * len(self._cache)
        for running, continuations in going_on:
            for row, continuation in zip(running.rows, continuations, strict=True):
                tokens[row] = continuation.token
        return NextTokens(torch.tensor(tokens))

    def _rearrange(self, wanted: Sequence[tuple[_RunningSearch[KeyT], list[int]]]) -> None:
        """Give each search rows that continue the ones listed with it. As many rows as possible stay in place."""
        n_rows = sum(len(sources) for _, sources in wanted)
        self._running = [running for running, _ in wanted]
        n_own = len({row for running, _ in wanted for row in running.rows})
        if n_rows == n_own == len(self._cache) and all(running.rows == sources for running, sources in wanted):
            return  # all rows stay in place
        sources_of: list[int | None] = [None] * n_rows
        unplaced: list[tuple[_RunningSearch[KeyT], int, int]] = []
        for running, sources in wanted:
            running.rows = [-1] * len(sources)
            for place, source in enumerate(sources):
                if source < n_rows and sources_of[source] is None:
                    sources_of[source] = source
                    running.rows[place] = source
                else:
                    unplaced.append((running, place, source))
        free = [row for row, source in enumerate(sources_of) if source is None]
        for (running, place, source), row in zip(unplaced, free, strict=True):
            sources_of[row] = source
            running.rows[place] = row
        arranged = [source for source in sources_of if source is not None]
        self._cache.rearrange(arranged)
        if arranged != list(range(len(self._scores))):
            self._scores = self._scores.rearranged(arranged)


def new_searches(model: Generator[Any], request: GenerateRequest, prompt: Sequence[int]) -> list[Search]:
    """Return the searches for a request: one for all beams, or one for each of its `n` texts."""
    if request.num_beams > 1:
        return [BeamSearch(request, model.generation_rules, prompt)]
    return [SingleSearch(request, model.generation_rules, prompt, index) for index in range(request.n)]

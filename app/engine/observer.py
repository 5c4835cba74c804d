"""Hooks into an engine, for metrics and benchmarks."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps

log = logging.getLogger(__name__)


class EngineObserver:
    """Receives the events of an engine. All methods do nothing; override those of interest.

    `dispatched`, `batch_started`, `batch_finished` and `tokens_generated` are called on a worker's thread, possibly on
    several at once. All others are called on the event loop, and must not block it. Errors of an observer are logged
    and affect no request.

    Every request that is submitted is either refused, or queued and later finished or failed. `model` and `task` are
    names, `n_items` counts items and times are in the unit of their suffix.
    """

    def queued(self, model: str, task: str, n_items: int) -> None:
        """Handle a request that was accepted into the queue."""

    def refused(self, model: str, task: str, n_items: int) -> None:
        """Handle a request that was not accepted: the queue is full, or the model is unloading."""

    def started(self, model: str, task: str, n_items: int, queue_ms: float) -> None:
        """Handle a request whose first forward pass began `queue_ms` after it was queued.

        For a generation task, called when the request joins the running sequences; for any other, with the results of
        its first batch, because waking the event loop once more for each batch would slow all requests down.
        """

    def dispatched(self, model: str, task: str, n_items: int, cost: int, padding: int, reason: str) -> None:
        """Handle a batch that a worker has taken, on its thread, before it is computed or joins the running sequences.

        `cost` counts the elements or tokens of the batch; for a generation task, those of its prompts. `padding` counts
        those that the batch would have in addition if all its items were padded to the longest. `reason` is a value of
        `DispatchReason`.
        """

    def batch_started(self, model: str, task: str, n_items: int, cost: int) -> None:
        """Handle the start of a batch or of one generation step, on the thread that computes it.

        `cost` counts the elements or tokens of the batch. In a generation step, `n_items` and `cost` count the
        sequences, which get one token each. Forward passes that only probe whether a worker is well are not reported.
        """

    def batch_finished(self, model: str, task: str, n_items: int, cost: int, seconds: float) -> None:
        """Handle the end of a batch or generation step, on the same thread, even if it failed."""

    def tokens_generated(
        self, model: str, task: str, n_tokens: int, first_token_s: Sequence[float], interval_s: float | None
    ) -> None:
        """Handle the tokens of one generation step, on the thread that computed it, even if they are not yet reported.

        `first_token_s` has, for each request whose first token this is, the time since it was queued. `interval_s` is
        the time since the previous step if that has left running sequences, which is the time between their tokens.
        """

    def finished(
        self, model: str, task: str, n_items: int, queue_ms: float, inference_ms: float, batch_size: int
    ) -> None:
        """Handle a request that was answered. The figures are those of `Outcome`."""

    def failed(self, model: str, task: str, n_items: int, error: BaseException) -> None:
        """Handle a request that ended without an answer.

        `error` is `asyncio.CancelledError` where the caller no longer waits for it.
        """

    def worker_restarted(self, model: str) -> None:
        """Handle the start of a worker thread in place of one that died or did not return from a forward pass."""


def combine(*observers: EngineObserver | None) -> EngineObserver:
    """Return an observer that passes each event to the given observers, in order; None stands for no observer."""
    by_name: dict[str, list[Callable[..., None]]] = {}
    for observer in observers:
        for name, hook in _overridden(observer) if observer is not None else ():
            by_name.setdefault(name, []).append(hook)
    combined = EngineObserver()
    for name, hooks in by_name.items():
        setattr(combined, name, hooks[0] if len(hooks) == 1 else partial(_call_each, hooks))
    return combined


def _overridden(observer: EngineObserver) -> Iterator[tuple[str, Callable[..., None]]]:
    """Yield the hooks of an observer that do anything, by name. The others need not be called through another layer."""
    for name, inherited in vars(EngineObserver).items():
        hook = None if name.startswith("_") else getattr(observer, name)
        if hook is not None and getattr(hook, "__func__", None) is not inherited:
            yield name, hook


def _call_each(hooks: Sequence[Callable[..., None]], *arguments: object) -> None:
    for hook in hooks:
        hook(*arguments)


def guard(observer: EngineObserver | None) -> EngineObserver:
    """Return an observer that never raises: it calls the given one, if any, and logs each method's first exception."""
    guarded = EngineObserver()
    for name, hook in _overridden(observer) if observer is not None else ():
        setattr(guarded, name, _guarded(hook))
    return guarded


def _guarded(hook: Callable[..., None]) -> Callable[..., None]:
    has_failed = False

    @wraps(hook)
    def call(*arguments: object) -> None:
        nonlocal has_failed
        try:
            hook(*arguments)
        except Exception:
            if not has_failed:
                has_failed = True
                log.exception("an engine observer failed; its further errors are not logged")

    return call

"""Counts the events of all engines."""

from collections.abc import Sequence

from typing_extensions import override

from app.engine.observer import EngineObserver
from app.metrics.deferred import DeferredCalls
from app.metrics.families import Families


class EngineEvents(EngineObserver):
    """Adds the events of engines to the metrics, once for each batch, step or request and not for each item."""

    def __init__(self, families: Families, deferred: DeferredCalls) -> None:
        self._families, self._deferred = families, deferred

    @override
    def dispatched(self, model: str, task: str, n_items: int, cost: int, padding: int, reason: str) -> None:
        self._deferred.add(self._count_dispatched, (model, task), n_items, cost, padding, reason)

    def _count_dispatched(self, key: tuple[str, str], n_items: int, cost: int, padding: int, reason: str) -> None:
        families = self._families
        families.batches[*key, reason].inc()
        families.batch_items[key].observe(n_items)
        families.batch_cost[key].inc(cost)
        families.padding_avoided[key].inc(padding)

    @override
    def batch_finished(self, model: str, task: str, n_items: int, cost: int, seconds: float) -> None:
        self._deferred.add(self._families.forward_s[model, task].observe, seconds)

    @override
    def tokens_generated(
        self, model: str, task: str, n_tokens: int, first_token_s: Sequence[float], interval_s: float | None
    ) -> None:
        self._deferred.add(self._count_tokens, (model, task), n_tokens, first_token_s, interval_s)

    def _count_tokens(
        self, key: tuple[str, str], n_tokens: int, first_token_s: Sequence[float], interval_s: float | None
    ) -> None:
        families = self._families
        families.generated_tokens[key].inc(n_tokens)
        for seconds in first_token_s:
            families.first_token_s[key].observe(seconds)
        if interval_s is not None and n_tokens > len(first_token_s):
            families.between_tokens_s[key].observe(interval_s)

    @override
    def finished(
        self, model: str, task: str, n_items: int, queue_ms: float, inference_ms: float, batch_size: int
    ) -> None:
        self._deferred.add(self._count_finished, (model, task), queue_ms, inference_ms)

    def _count_finished(self, key: tuple[str, str], queue_ms: float, inference_ms: float) -> None:
        self._families.queue_s[key].observe(queue_ms / 1000)
        self._families.inference_s[key].observe(inference_ms / 1000)

    @override
    def worker_restarted(self, model: str) -> None:
        self._families.worker_restarts[model,].inc()

"""The metrics that are read from the models when somebody asks for them, and cost nothing otherwise."""

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from app.concurrency.request_memory import RequestMemory
from app.metrics.families import PREFIX
from app.registry.registry import Registry
from app.registry.served_model import State

MAX_COLUMNS = 20
"""Most columns of a model that metrics tell of: those that have moved the farthest."""


class StateCollector(Collector):
    """Reads queues, running sequences, memory and states of the models of a registry, and the memory of requests."""

    def __init__(
        self,
        models: Registry,
        memory: RequestMemory,
        *,
        max_queue_items: Callable[[], int],
        is_draining: Callable[[], bool],
    ) -> None:
        self._models, self._memory = models, memory
        self._max_queue_items, self._is_draining = max_queue_items, is_draining

    @override
    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now. A model that is not in memory has a state and no other values."""
        queued = _by_model("queue_items", "Items that wait for a model.")
        running = _by_model("running_sequences", "Sequences that a model is generating.")
        memory = _by_model("model_memory_bytes", "Memory of the weights of a model, on all its devices.")
        state = GaugeMetricFamily(
            f"{PREFIX}_model_state", "1 for the state of a model, else 0.", labels=["model", "state"]
        )
        low_p = _by_model("drift_low_p_share", "Share of the last items that a model scored with a p-value below 0.01.")
        index = GaugeMetricFamily(
            f"{PREFIX}_drift_stability_index",
            "Population stability index of a column of the last items that a model scored.",
            labels=["model", "column"],
        )
        for name, model in list(self._models.models.items()):
            for each in State:
                state.add_metric([name, each], float(model.state is each))
            if model.loaded is not None:
                queued.add_metric([name], model.loaded.engine.n_queued)
                running.add_metric([name], model.loaded.engine.n_running)
                memory.add_metric([name], model.loaded.memory_bytes)
                drift = model.loaded.drift and model.loaded.drift.read()
                if drift:
                    low_p.add_metric([name], drift.low_p_share)
                    for column in sorted(drift.stability_index, key=drift.stability_index.__getitem__)[-MAX_COLUMNS:]:
                        index.add_metric([name, column], drift.stability_index[column])
        is_ready = self._models.ready and not self._is_draining()
        limit, ready = "Most items that may wait for one model.", "1 while every wanted model serves, else 0."
        yield from (queued, running, memory, state, low_p, index)
        yield from self._collect_memory()
        yield GaugeMetricFamily(f"{PREFIX}_queue_limit_items", limit, self._max_queue_items())
        yield GaugeMetricFamily(f"{PREFIX}_ready", ready, float(is_ready))
        yield InfoMetricFamily(f"{PREFIX}_build", "Versions of the server and of what it runs on.", _versions())

    def _collect_memory(self) -> Iterable[Metric]:
        memory = self._memory
        held, limit = "Memory that requests have claimed.", "Most memory of all requests together; 0 without a limit."
        dropped = "Answers dropped because their clients did not read them and others needed the memory."
        yield GaugeMetricFamily(f"{PREFIX}_request_memory_bytes", held, memory.n_bytes)
        yield GaugeMetricFamily(f"{PREFIX}_request_memory_limit_bytes", limit, memory.limit)
        yield CounterMetricFamily(f"{PREFIX}_unread_answers_dropped", dropped, memory.n_dropped)


def _by_model(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", documentation, labels=["model"])


def _versions() -> dict[str, str]:
    return {"version": version("manifold"), "torch": version("torch"), "python": platform.python_version()}

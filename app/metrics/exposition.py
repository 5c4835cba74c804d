"""The metrics of one application, and their text."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from app.concurrency.request_memory import RequestMemory
from app.metrics.deferred import DeferredCalls
from app.metrics.engine_events import EngineEvents
from app.metrics.event_loop import EventLoopStalls
from app.metrics.families import Families
from app.metrics.requests import RequestCounter
from app.metrics.state import StateCollector
from app.registry.registry import Registry

disable_created_metrics()  # type: ignore[no-untyped-call]  # a tenth of all lines, which only tell when series began


class Metrics:
    """The metrics of one application, in a registry of its own; a process may have several applications."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._deferred = DeferredCalls()
        self.families = Families(self._registry)
        self.requests = RequestCounter(self.families, self._deferred)
        self.engine_events = EngineEvents(self.families, self._deferred)
        self.event_loop = EventLoopStalls(self._registry)
        ProcessCollector(registry=self._registry)

    def read_state(
        self,
        models: Registry,
        memory: RequestMemory,
        *,
        max_queue_items: Callable[[], int],
        is_draining: Callable[[], bool],
    ) -> None:
        """Add the metrics that are read from the models and the memory whenever somebody asks for the metrics."""
        state = StateCollector(models, memory, max_queue_items=max_queue_items, is_draining=is_draining)
        self._registry.register(state)
        for name in models.models:
            self.families.worker_restarts[name,]  # 0 from the start, so that the first restart is an increase

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the text of all metrics and its media type: OpenMetrics if the header `accept` asks for it."""
        self._deferred.run()
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

"""The metrics that are counted while the server works. Each name begins with `manifold_`."""

from collections.abc import Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

MetricT = TypeVar("MetricT", Counter, Histogram)

PREFIX = "manifold"

REQUEST_LIMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper limits in seconds of the times of whole requests, and of the phases that wait for other requests."""
WORK_LIMITS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper limits in seconds of the times of single pieces of work."""
BATCH_LIMITS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Upper limits of the numbers of items in a batch."""


class Children(dict[tuple[str, ...], MetricT]):
    """The time series of one metric by the values of its labels; a new one is added when it is first looked up.

    The client library's own look-up takes longer than counting.
    """

    def __init__(self, family: MetricT) -> None:
        super().__init__()
        self._family: MetricT = family

    def __missing__(self, values: tuple[str, ...]) -> MetricT:
        child: MetricT = self._family.labels(*values)
        self[values] = child
        return child


class Families:
    """The counters and histograms of one application, in a registry of its own.

    Labels have a bounded number of values: routes are templates, and models and tasks are those that exist.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, documentation: str, *labels: str) -> Children[Counter]:
            return Children(Counter(name, documentation, labels, namespace=PREFIX, registry=registry))

        def histogram(name: str, documentation: str, limits: Sequence[float], *labels: str) -> Children[Histogram]:
            found = Histogram(name, documentation, labels, namespace=PREFIX, registry=registry, buckets=limits)
            return Children(found)

        by_route, by_task = ("route", "model", "task"), ("model", "task")
        self.requests = counter("requests", "HTTP requests that were answered.", *by_route, "status")
        self.errors = counter("errors", "HTTP requests that failed, by the name of the error.", *by_route, "error")
        self.refusals = counter("refusals", "HTTP requests refused not for their content.", "model", "reason")
        self.request_s = histogram(
            "request_seconds", "Time of a whole request that did not fail.", REQUEST_LIMITS, *by_route
        )
        self.preparation_s = histogram(
            "preparation_seconds", "Time to parse a body and to tokenise or decode its inputs.", WORK_LIMITS, *by_task
        )
        self.queue_s = histogram(
            "queue_seconds", "Time from submission to the first forward pass.", REQUEST_LIMITS, *by_task
        )
        self.inference_s = histogram(
            "inference_seconds", "Time from the first forward pass to the last result.", REQUEST_LIMITS, *by_task
        )
        self.rendering_s = histogram(
            "rendering_seconds", "Time from the last result to the start of the answer.", WORK_LIMITS, *by_task
        )
        self.batches = counter("batches", "Batches that were dispatched, by the reason.", *by_task, "reason")
        self.batch_items = histogram("batch_items", "Items in a batch that was dispatched.", BATCH_LIMITS, *by_task)
        self.batch_cost = counter("batch_cost", "Tokens of texts, or elements of arrays, in batches.", *by_task)
        self.padding_avoided = counter(
            "padding_avoided", "Tokens or elements that padding to the longest item would have added.", *by_task
        )
        self.forward_s = histogram(
            "forward_seconds", "Time of the forward pass of a batch, or of a generation step.", WORK_LIMITS, *by_task
        )
        self.generated_tokens = counter("generated_tokens", "Tokens that were generated.", *by_task)
        self.first_token_s = histogram(
            "first_token_seconds", "Time from submission to the first token of a request.", REQUEST_LIMITS, *by_task
        )
        self.between_tokens_s = histogram(
            "between_tokens_seconds", "Time between two tokens of the running sequences.", WORK_LIMITS, *by_task
        )
        self.worker_restarts = counter("worker_restarts", "Workers that replaced a dead or stuck one.", "model")

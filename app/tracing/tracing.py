"""Traces of requests: a span for each request, with those of its phases, batches and layers inside.

The spans of phases are made when their times are known. So a request that is not sampled, which is up to the sampler
and to the header `traceparent`, costs no more than that decision.
"""

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from app.engine.trace import Trace, TracedBatch
from app.errors import ManifoldError

FIRST_SERVER_ERROR = 500


class TracingUnavailable(ManifoldError):
    """Error: tracing is turned on, and the packages that it needs are not installed."""


class Tracing:
    """Makes the traces of an application and sends them to the address that the variables `OTEL_EXPORTER_OTLP_*` name.

    The other variables of OpenTelemetry hold as well: `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`.
    """

    def __init__(self) -> None:
        """Read the variables of the environment.

        Raises:
            TracingUnavailable: a package is missing.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            detail = f"MANIFOLD_TRACING needs the package {error.name}; pip install 'manifold[tracing]' installs it"
            raise TracingUnavailable(detail) from None
        own = Resource({"service.name": "manifold", "service.version": version("manifold")})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer: Tracer = self._provider.get_tracer("manifold")

    def close(self) -> None:
        """Send the spans that are left."""
        self._provider.shutdown()


def start_request(tracer: Tracer, method: str, path: str, headers: Mapping[bytes, bytes]) -> "RequestTrace | None":
    """Start the trace of a request, or continue that of its headers; None if it is not sampled."""
    names = ("traceparent", "tracestate")
    carrier = {name: headers[name.encode()].decode("latin-1") for name in names if name.encode() in headers}
    parent = TraceContextTextMapPropagator().extract(carrier)
    attributes = {"http.request.method": method, "url.path": path}
    span = tracer.start_span(method, parent, SpanKind.SERVER, attributes)
    return RequestTrace(tracer, span) if span.is_recording() else None


class RequestTrace(Trace):
    """The trace of a sampled request. Times are those of `time.monotonic`."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._context = trace.set_span_in_context(span)
        self._epoch_s = time.time() - time.monotonic()

    def phase(self, name: str, started_at: float, finished_at: float) -> None:
        """Record a phase of the request."""
        self._start(name, started_at, self._context).end(self._nanoseconds(finished_at))

    @override
    def batch(self, batch: TracedBatch, first: SpanContext | None) -> SpanContext:
        """Record a batch. The layers are recorded once, in the first trace; the other traces link to it."""
        attributes = {
            "manifold.batch.items": batch.n_items,
            "manifold.batch.cost": batch.cost,
            "manifold.batch.reason": str(batch.reason),
        }
        links = () if first is None else (Link(first),)
        span = self._start("batch", batch.started_at, self._context, attributes, links)
        spans: list[Span] = []
        for layer in batch.layers if first is None else ():
            outer = span if layer.parent is None else spans[layer.parent]
            spans.append(self._start(layer.name, layer.started_at, trace.set_span_in_context(outer)))
        for layer, layer_span in zip(batch.layers, spans, strict=False):
            layer_span.end(self._nanoseconds(layer.finished_at))
        span.end(self._nanoseconds(batch.finished_at))
        return span.get_span_context()

    @override
    def answered(self, queued_at: float, started_at: float, finished_at: float, *, by_steps: bool) -> None:
        """Record the time in the queue, and that of a generation, whose steps are too many for spans of their own."""
        self.phase("queue", queued_at, started_at)
        if by_steps:
            self.phase("generate", started_at, finished_at)

    def end(self, name: str, status: int, error: str | None, attributes: Mapping[str, str]) -> None:
        """End the trace of a request. `error` is the name of the error that it failed with, if it did."""
        self._span.update_name(name)
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attributes({key: value for key, value in attributes.items() if value})
        if error is not None:
            self._span.set_attribute("error.type", error)
            if status == 0 or status >= FIRST_SERVER_ERROR:
                self._span.set_status(StatusCode.ERROR, error)
        self._span.end()

    def _start(self, name: str, started_at: float, context: Any, attributes: Any = None, links: Any = ()) -> Span:
        start_time = self._nanoseconds(started_at)
        return self._tracer.start_span(name, context, attributes=attributes, links=links, start_time=start_time)

    def _nanoseconds(self, at: float) -> int:
        return int((self._epoch_s + at) * 1e9)

"""The traces of real requests, as a collector receives them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.keys.api_key import new_secret
from app.main import create_app
from app.settings import Settings
from app.tracing.tracing import TracingUnavailable
from models.ops import avx512
from tests.app.metrics.traffic import BERT, GPT, PIXELS, write_models
from tests.app.tracing.collector import Collector, attributes, collecting
from tests.conftest import TINY, served

pytestmark = pytest.mark.anyio

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
PHASES = ["prepare", "queue", "render"]
EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    write_models(root)
    return root


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


async def send(root: Path, model: str, path: str, *bodies: dict[str, Any], **headers: str) -> list[int]:
    """The statuses of requests to an application that has ended, and so has sent its traces."""
    settings = Settings(weights_dir=root, models=(model,), tracing=True)
    async with served(settings) as client:
        return [
            (await client.post(path, json={"model": model, **body}, headers=headers)).status_code for body in bodies
        ]


async def test_a_request_is_a_trace_of_its_phases_its_batch_and_its_layers(root: Path, collector: Collector) -> None:
    assert await send(root, TINY, "/reconstruct", {"inputs": [PIXELS, PIXELS]}) == [200]
    request, batch = collector.named("POST /reconstruct"), collector.named("batch")
    assert collector.names() == sorted([*PHASES, "POST /reconstruct", "batch", "encoder", "decoder"])
    for name in (*PHASES, "batch"):
        assert collector.parent_of(name) == "POST /reconstruct"
    for name in ("encoder", "decoder"):
        assert collector.parent_of(name) == "batch"
    outer = {span.span_id: span for span in (request, batch)}
    for span in collector.spans:
        around = outer.get(span.parent_span_id, request)
        assert around.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= around.end_time_unix_nano
    assert attributes(batch) == {
        "manifold.batch.items": 2,
        "manifold.batch.cost": 32,
        "manifold.batch.reason": "worker-idle",
    }
    told = attributes(request)
    assert (told["http.route"], told["http.response.status_code"]) == ("/reconstruct", 200)
    assert (told["manifold.model"], told["manifold.task"]) == (TINY, "reconstruct")
    assert collector.services[0]["service.name"] == "manifold"


async def test_the_trace_of_the_client_is_continued(root: Path, collector: Collector) -> None:
    await send(root, TINY, "/reconstruct", {"inputs": [PIXELS]}, traceparent=SAMPLED, tracestate="vendor=value")
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    request = collector.named("POST /reconstruct")
    assert (request.parent_span_id.hex(), request.trace_state) == (PARENT, "vendor=value")


async def test_a_request_whose_parent_is_not_sampled_is_not_traced(root: Path, collector: Collector) -> None:
    body = {"inputs": [PIXELS]}
    assert await send(root, TINY, "/reconstruct", body, traceparent=NOT_SAMPLED) == [200]
    assert collector.spans == []


async def test_the_variables_of_opentelemetry_hold(
    root: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    await send(root, TINY, "/reconstruct", {"inputs": [PIXELS]})
    assert collector.spans == []
    await send(root, TINY, "/reconstruct", {"inputs": [PIXELS]}, traceparent=SAMPLED)
    assert {service["service.name"] for service in collector.services} == {"mine"}


async def test_the_blocks_of_a_transformer_are_layers_where_no_kernel_computes_them_together(
    root: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avx512, "supports_tensor", lambda tensor: False)
    await send(root, BERT, "/encode", {"inputs": ["abc"]})
    blocks = [name for name in collector.names() if name.startswith("blocks.")]
    assert blocks == ["blocks.0", "blocks.1"]
    assert {collector.parent_of(name) for name in ("embeddings", *blocks)} == {"batch"}


async def test_a_generation_is_one_span(root: Path, collector: Collector) -> None:
    await send(root, GPT, "/generate", {"inputs": ["ab"], "parameters": {"max_new_tokens": 3}})
    assert collector.names() == sorted([*PHASES, "generate", "POST /generate"])


async def test_a_failed_request_says_with_which_error(root: Path, collector: Collector) -> None:
    assert await send(root, TINY, "/reconstruct", {"inputs": [[1.0]]}, {"wrong": 1}) == [422, 422]
    for span in collector.spans:
        assert attributes(span)["error.type"] == "InvalidRequest"
        assert span.status.code == 0  # the fault is the client's


async def test_no_trace_has_a_key(root: Path, collector: Collector) -> None:
    secret = new_secret()
    headers = {"x-request-id": secret, "authorization": f"Bearer {secret}"}
    assert await send(root, TINY, f"/models/{secret}/load", {}, **headers) == [404]
    (span,) = collector.spans
    assert secret not in str(span)
    assert attributes(span)["url.path"] == "/models/mf_[redacted]/load"


def test_without_its_packages_tracing_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    with pytest.raises(TracingUnavailable, match=r"pip install 'manifold\[tracing\]'"):
        create_app(Settings(weights_dir=root, tracing=True))


def test_nothing_is_traced_unless_it_is_turned_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    app = create_app(Settings(weights_dir=root))
    assert app.state.tracing is None
    assert "RequestTracing" not in [each.cls.__name__ for each in app.user_middleware]  # type: ignore[attr-defined]

"""`GET /metrics` after known traffic."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import torch
from fastapi import APIRouter, Request
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from starlette.responses import JSONResponse, Response

from app.http.content import read_body
from app.inference.run import infer
from app.services import services_in
from app.settings import Settings
from models.tasks import ENCODE
from models.tasks.autoencoding import EncodeRequest
from tests.app.keys.made import make_key
from tests.app.metrics.traffic import BERT, GPT, PIXELS, exercise, families, read, write_models
from tests.app.server import Served
from tests.conftest import TINY, served

pytestmark = pytest.mark.anyio

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    write_models(root)
    return root


@pytest.fixture
async def fresh(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=root, workers=1)) as client:
        yield client


async def value(client: httpx.AsyncClient, name: str, **labels: str) -> float | None:
    return (await read(client)).get((name, frozenset(labels.items())))


async def test_every_answered_request_is_counted_once_and_timed(fresh: httpx.AsyncClient) -> None:
    bodies = [{"model": BERT, "inputs": ["a" * (1 + number % 3)]} for number in range(7)]
    answers = await asyncio.gather(*(fresh.post("/encode", json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    samples = await read(fresh)
    where = frozenset({"route": "/encode", "model": BERT, "task": "encode"}.items())
    assert samples["manifold_requests_total", where | {("status", "200")}] == 7
    assert samples["manifold_request_seconds_count", where] == 7
    by_task = where - {("route", "/encode")}
    phases = [samples[f"manifold_{phase}_seconds_sum", by_task] for phase in ("preparation", "queue", "inference")]
    phases.append(samples["manifold_rendering_seconds_sum", by_task])
    assert min(phases) > 0
    assert sum(phases) <= samples["manifold_request_seconds_sum", where]
    for phase in ("preparation", "queue", "inference", "rendering"):
        assert samples[f"manifold_{phase}_seconds_count", by_task] == 7
    assert samples["manifold_batch_items_sum", by_task] == 7
    reasons = [n for (name, labels), n in samples.items() if name == "manifold_batches_total" and by_task <= labels]
    assert sum(reasons) == samples["manifold_batch_items_count", by_task]
    assert not [name for name, labels in samples if name == "manifold_errors_total"]


async def test_the_cost_of_a_batch_and_the_padding_it_avoids(fresh: httpx.AsyncClient) -> None:
    usage = (await fresh.post("/encode", json={"model": BERT, "inputs": ["aaaa", "a", "aa"]})).json()["usage"]
    each = [
        (await fresh.post("/encode", json={"model": BERT, "inputs": [text]})).json()["usage"]["tokens"]
        for text in ("aaaa", "a", "aa")
    ]
    assert usage["tokens"] == sum(each)
    of_bert = {"model": BERT, "task": "encode"}
    assert await value(fresh, "manifold_batch_cost_total", **of_bert) == 2 * sum(each)
    assert await value(fresh, "manifold_padding_avoided_total", **of_bert) == 3 * max(each) - sum(each)
    await fresh.post("/reconstruct", json={"model": TINY, "inputs": [PIXELS, PIXELS]})
    of_images = {"model": TINY, "task": "reconstruct"}
    assert await value(fresh, "manifold_batch_cost_total", **of_images) == 2 * len(PIXELS)
    assert await value(fresh, "manifold_padding_avoided_total", **of_images) == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_generated_tokens_are_counted_and_timed(fresh: httpx.AsyncClient, stream: bool) -> None:
    body = {"model": GPT, "inputs": ["ab", "b"], "parameters": {"max_new_tokens": 5, "stream": stream}}
    answer = await fresh.post("/generate", json=body)
    assert answer.status_code == 200
    samples = await read(fresh)
    of_gpt = frozenset({"model": GPT, "task": "generate"}.items())
    assert samples["manifold_generated_tokens_total", of_gpt] == 2 * 5
    assert samples["manifold_first_token_seconds_count", of_gpt] == 1  # of the request, not of each item
    assert samples["manifold_between_tokens_seconds_count", of_gpt] == 4
    assert samples["manifold_forward_seconds_count", of_gpt] == 5
    first_s = samples["manifold_first_token_seconds_sum", of_gpt]
    others_s = samples["manifold_between_tokens_seconds_sum", of_gpt]
    where = frozenset({"route": "/generate", "model": GPT, "task": "generate"}.items())
    assert 0 < first_s + others_s < samples["manifold_request_seconds_sum", where]


async def test_errors_are_counted_by_their_kind(fresh: httpx.AsyncClient) -> None:
    json_type = {"content-type": "application/json"}
    await fresh.post("/encode", content=b"{", headers=json_type)
    await fresh.post("/encode", content=b"x", headers={"content-type": "text/css"})
    await fresh.post("/encode", json={"model": "nobody", "inputs": ["a"]})
    for _ in range(2):
        await fresh.post("/encode", json={"model": BERT, "inputs": ["a"], "parameters": {"wrong": 1}})
    await fresh.get("/encode")
    await fresh.get("/models/nobody")
    expected = {
        ("/encode", "", "encode", "MalformedBody", "400"): 1,
        ("/encode", "", "encode", "UnsupportedMediaType", "415"): 1,
        ("/encode", "", "encode", "UnknownModel", "404"): 1,
        ("/encode", BERT, "encode", "InvalidRequest", "422"): 2,
        ("/encode", "", "", "MethodNotAllowed", "405"): 1,
        ("/models/{id}", "", "", "UnknownModel", "404"): 1,
    }
    for (route, model, task, error, status), n in expected.items():
        where = {"route": route, "model": model, "task": task}
        assert await value(fresh, "manifold_errors_total", **where, error=error) == n
        assert await value(fresh, "manifold_requests_total", **where, status=status) == n
    samples = await read(fresh)
    assert sum(n for (name, _), n in samples.items() if name == "manifold_errors_total") == sum(expected.values())
    assert not [name for name, _ in samples if name == "manifold_refusals_total"]


async def test_refusals_are_counted_by_their_reason(fresh: httpx.AsyncClient) -> None:
    await fresh.post(f"/models/{TINY}/unload")
    await fresh.post("/reconstruct", json={"model": TINY, "inputs": [PIXELS]})
    await fresh.post("/models/nobody/load", headers={"origin": "https://elsewhere.example"})
    assert await value(fresh, "manifold_refusals_total", model=TINY, reason="ModelUnavailable") == 1
    assert await value(fresh, "manifold_refusals_total", model="", reason="CrossSiteRequest") == 1
    fresh.app.state.lifecycle.is_draining = True  # type: ignore[attr-defined]
    assert (await fresh.get("/health/ready")).status_code == 503
    samples = await read(fresh)
    assert sum(n for (name, _), n in samples.items() if name == "manifold_refusals_total") == 2


async def test_requests_without_a_key_are_refusals_of_the_route_they_asked_for(root: Path) -> None:
    secret, key = make_key("prometheus")
    async with served(Settings(weights_dir=root, models=(TINY,), api_keys=(key,))) as client:
        for path in ("/reconstruct", "/reconstruct", "/invented"):
            answer = await client.post(path, json={"model": TINY, "inputs": [PIXELS]})
            assert answer.status_code == 401
        assert (await client.get("/metrics")).status_code == 401
        client.headers["authorization"] = f"Bearer {secret}"
        samples = await read(client)
    refused = {dict(labels)["route"]: n for (name, labels), n in samples.items() if name == "manifold_errors_total"}
    assert refused == {"/reconstruct": 2, "unknown": 1, "/metrics": 1}
    ((reason, n),) = [(labels, n) for (name, labels), n in samples.items() if name == "manifold_refusals_total"]
    assert (dict(reason)["model"], n) == ("", 4)


async def test_a_full_queue_is_a_refusal(root: Path) -> None:
    settings = Settings(weights_dir=root, models=(TINY,), max_items=2, max_queue_items=2)
    async with served(settings) as client:
        bodies = [{"model": TINY, "inputs": [PIXELS, PIXELS]} for _ in range(40)]
        answers = await asyncio.gather(*(client.post("/reconstruct", json=body) for body in bodies))
        n_refused = sum(answer.status_code == 429 for answer in answers)
        assert 0 < n_refused < 40
        assert await value(client, "manifold_refusals_total", model=TINY, reason="QueueFull") == n_refused
        assert await value(client, "manifold_batch_items_sum", model=TINY, task="reconstruct") == 2 * (40 - n_refused)


async def test_labels_do_not_grow_with_what_clients_invent(fresh: httpx.AsyncClient) -> None:
    async def invent(names: range) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        for number in names:
            await fresh.get(f"/invented/{number}")
            await fresh.get(f"/static/{number}.css")
            await fresh.get(f"/models/invented-{number}")
            await fresh.post(f"/models/invented-{number}/unload")
            await fresh.post("/encode", json={"model": f"invented-{number}", "inputs": ["a"]})
            await fresh.request(f"METHOD{number}", "/encode")
        return set(await read(fresh))

    await read(fresh)  # counts the route of the metrics itself
    assert await invent(range(1)) == await invent(range(1, 6))
    lost = {"route": "unknown", "model": "", "task": "", "error": "UnknownRoute"}
    assert await value(fresh, "manifold_errors_total", **lost) == 6


async def test_head_requests_and_pages_count_under_their_routes(fresh: httpx.AsyncClient) -> None:
    await fresh.head(f"/models/{TINY}")
    await fresh.get("/openapi.json")
    await fresh.get("/static/docs/favicon.png")
    for route in ("/models/{id}", "/openapi.json", "/static"):
        assert await value(fresh, "manifold_requests_total", route=route, model="", task="", status="200") == 1


async def test_another_dialect_over_inference_has_its_route_its_model_and_its_task(fresh: httpx.AsyncClient) -> None:
    async def answer(id: str, request: Request) -> Response:
        body = await read_body(request, 100, services_in(request.scope).pools)
        model = services_in(request.scope).registry.get(body.decode())
        loaded = model.require()
        outcome = await infer(ENCODE, loaded.engine, [EncodeRequest(item=torch.zeros(1, 4, 4))])
        return JSONResponse({"n": len(outcome.results)})

    router = APIRouter()
    router.add_api_route("/hf/{id:path}", answer, methods=["POST"])
    fresh.app.include_router(router, prefix="/foreign")  # type: ignore[attr-defined]
    answers = [await fresh.post("/foreign/hf/org/name", content=name) for name in (TINY, "nobody")]
    assert [each.status_code for each in answers] == [200, 404]
    route = "/foreign/hf/{id}"
    assert await value(fresh, "manifold_requests_total", route=route, model=TINY, task="encode", status="200") == 1
    assert await value(fresh, "manifold_errors_total", route=route, model="", task="", error="UnknownModel") == 1
    for phase in ("preparation", "rendering"):
        assert await value(fresh, f"manifold_{phase}_seconds_count", model=TINY, task="encode") == 1


async def test_the_state_of_the_models_is_read_when_it_is_asked_for(fresh: httpx.AsyncClient) -> None:
    card = (await fresh.get(f"/models/{TINY}")).json()
    assert await value(fresh, "manifold_model_memory_bytes", model=TINY) == card["memory_bytes"]
    assert await value(fresh, "manifold_queue_items", model=TINY) == 0
    assert await value(fresh, "manifold_queue_limit_items") == 4096
    assert await value(fresh, "manifold_ready") == 1
    await fresh.post(f"/models/{TINY}/unload")
    assert await value(fresh, "manifold_model_memory_bytes", model=TINY) is None
    states = {
        state: await value(fresh, "manifold_model_state", model=TINY, state=state) for state in ("ready", "unloaded")
    }
    assert states == {"ready": 0, "unloaded": 1}
    fresh.app.state.lifecycle.is_draining = True  # type: ignore[attr-defined]
    assert await value(fresh, "manifold_ready") == 0


async def test_two_applications_in_a_process_count_apart(root: Path, fresh: httpx.AsyncClient) -> None:
    async with served(Settings(weights_dir=root, models=(TINY,))) as other:
        await other.get("/info")
        where = {"route": "/info", "model": "", "task": "", "status": "200"}
        assert await value(other, "manifold_requests_total", **where) == 1
        assert await value(fresh, "manifold_requests_total", **where) is None


async def test_both_formats_hold_the_same_metrics_and_pass_their_parsers(fresh: httpx.AsyncClient) -> None:
    await exercise(fresh)
    plain, structured = await fresh.get("/metrics"), await fresh.get("/metrics", headers={"accept": OPEN_METRICS})
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert structured.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in parse_open_metrics(structured.text)}  # type: ignore[no-untyped-call]
    assert {family.name for family in families(plain.text)} == {
        f"{name}_info" if name == "manifold_build" else name for name in names
    }


def test_a_real_server_reports_its_metrics(any_server: Served) -> None:
    httpx.post(f"{any_server.url}/reconstruct", json={"model": TINY, "inputs": [PIXELS]})
    text = httpx.get(f"{any_server.url}/metrics").text
    (requests,) = [family for family in families(text) if family.name == "manifold_requests"]
    routes = {sample.labels["route"] for sample in requests.samples if sample.name == "manifold_requests_total"}
    assert {"/reconstruct", "/health/ready"} <= routes

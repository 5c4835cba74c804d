"""Who may do what: with keys, without keys from this machine and from others, and within limits."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from app.engine.job import Job
from app.engine.queue import JobQueue
from app.http.access import presented_key
from app.http.access_rules import Access, access_of
from app.http.error_answers import Dialect
from app.keys.api_key import ApiKey, Role, new_secret
from app.keys.file import write_keys
from app.main import create_app
from app.registry.registry import Registry
from app.settings import Settings
from tests.app.items import images
from tests.app.keys.made import make_key
from tests.conftest import TINY, served

pytestmark = pytest.mark.anyio

BODY = {"inputs": images(1).tolist()}
INFER_SECRET, INFER_KEY = make_key("ci")
ADMIN_SECRET, ADMIN_KEY = make_key("me", Role.ADMIN)
KEYS = (INFER_KEY, ADMIN_KEY)
PUBLIC = {"/", "/docs", "/docs/guide", "/redoc", "/openapi.json", "/health/live", "/health/ready", "/static"}
PUBLIC |= {"/v2/health/live", "/v2/health/ready"}
PUBLIC_OF_MODELS = re.compile(r"/(hf|tei)/\{.*\}/(health|ping)")
"""Routes that answer without a key."""


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@asynccontextmanager
async def with_keys(weights: Path, *keys: ApiKey, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=weights, api_keys=keys or KEYS, **settings)) as client:
        yield client


def clients_from(client: httpx.AsyncClient, peer: str) -> httpx.AsyncClient:
    """A client of the same application at another address."""
    app: FastAPI = client.app  # type: ignore[attr-defined]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 1)), base_url="http://localhost")


def operations(app: FastAPI) -> list[tuple[str, str]]:
    """The method and path template of each route of the application."""
    found: set[tuple[str, str]] = set()
    for route in iter_route_contexts(app.routes):
        methods = getattr(route, "methods", None) or ("GET", "POST")
        found |= {(method, str(route.path)) for method in methods}
    return sorted(found)


def filled(path: str) -> str:
    return re.sub(r"\{.*?\}", TINY, path) + ("/docs/favicon.png" if path == "/static" else "")


async def test_every_route_that_is_not_public_wants_a_key(weights: Path) -> None:
    async with with_keys(weights) as client:
        routes = operations(client.app)  # type: ignore[attr-defined]
        assert len(routes) > 35
        for method, path in routes:
            answer = await client.request(method, filled(path), follow_redirects=False)
            is_public = method in ("GET", "HEAD") and (path in PUBLIC or PUBLIC_OF_MODELS.fullmatch(path))
            assert (answer.status_code != 401) == bool(is_public), (method, path)
            if not is_public and method != "HEAD":
                assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/nowhere", "/v1/models", "/hf/x", "/tei/x", "/v2/models/x", "/api/tags", "/metrics", "/docs%0A"):
            assert (await client.get(path)).status_code == 401, path


async def test_every_route_that_loads_or_unloads_wants_an_administrator(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each route is called with a key of each role, and what it does to the registry is recorded."""
    changed: set[str] = set()
    async with with_keys(weights) as client:
        for name in ("load", "unload"):

            async def record(registry: Registry, model: str, _within_s: float) -> Any:
                changed.add(model)
                return registry.get(model)

            monkeypatch.setattr(Registry, name, record)
        for secret in (INFER_SECRET, ADMIN_SECRET):
            changing = set()
            for method, path in operations(client.app):  # type: ignore[attr-defined]
                changed.clear()
                for end in ("", "%0A", "/"):
                    await client.request(method, filled(path) + end, headers=bearer(secret), json={})
                if changed:
                    changing.add(path)
                    assert access_of({"path": filled(path), "method": method}) is Access.ADMIN
            expected = {"/models/{id:path}/load", "/models/{id:path}/unload"}
            assert changing >= expected if secret == ADMIN_SECRET else not changing


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer   {}"},
        {"authorization": "BEARER {}"},
        {"authorization": "{}"},
        {"authorization": " {} "},
        {"x-api-key": "{}"},
        {"x-api-key": "{}", "authorization": "Basic dTpw"},
    ],
    ids=str,
)
async def test_a_key_is_taken_from_each_header(weights: Path, headers: dict[str, str]) -> None:
    async with with_keys(weights) as client:
        sent = {name: value.format(INFER_SECRET) for name, value in headers.items()}
        answer = await client.post("/encode", json=BODY, headers=sent)
        assert answer.status_code == 200, answer.text
        assert (await client.get("/info", headers=sent)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Basic {}"},
        {"authorization": "Bearer {}x"},
        {"authorization": "Bearer {} {}"},
        {"authorization": f"Bearer {new_secret()}"},
        {"authorization": "Bearer ci"},
        {"authorization": f"Bearer {INFER_KEY.digest.hex()}"},
        {"authorization": f"Bearer sha256:{INFER_KEY.digest.hex()}"},
        {"x-api-key": ""},
        {"x-api-key": "Bearer {}"},
        {"cookie": "authorization={}"},
    ],
    ids=range(14),
)
async def test_anything_else_is_no_key(weights: Path, headers: dict[str, str]) -> None:
    async with with_keys(weights) as client:
        sent = {name: value.replace("{}", INFER_SECRET) for name, value in headers.items()}
        answer = await client.post(f"/encode?api_key={INFER_SECRET}", json=BODY, headers=sent)
        assert (answer.status_code, answer.json()["type"]) == (401, "/errors/unauthenticated")
        assert answer.headers["content-type"] == "application/problem+json"
        assert INFER_SECRET not in answer.text


def test_the_first_word_that_is_no_scheme_is_no_key() -> None:
    assert presented_key({b"authorization": b"Basic abc"}) is None
    assert presented_key({b"authorization": b"abc"}) == b"abc"


async def test_a_key_of_inference_is_refused_what_an_administrator_may(weights: Path) -> None:
    async with with_keys(weights) as client:
        for verb in ("unload", "load"):
            refused = await client.post(f"/models/{TINY}/{verb}", headers=bearer(INFER_SECRET))
            assert (refused.status_code, refused.json()["type"]) == (403, "/errors/forbidden")
            assert "the key 'ci' has the role infer" in refused.json()["detail"]
            allowed = await client.post(f"/models/{TINY}/{verb}", headers=bearer(ADMIN_SECRET))
            assert allowed.status_code == 200, allowed.text


async def test_an_administrator_may_come_from_anywhere(weights: Path) -> None:
    async with with_keys(weights) as client, clients_from(client, "172.17.0.1") as other:
        headers = bearer(ADMIN_SECRET) | {"host": "models.example", "x-forwarded-for": "8.8.8.8"}
        assert (await other.post(f"/models/{TINY}/load", headers=headers)).status_code == 200


async def test_without_a_key_nothing_of_the_body_is_read(weights: Path) -> None:
    app = create_app(Settings(weights_dir=weights, api_keys=KEYS))
    scope = {"type": "http", "method": "POST", "path": "/encode", "raw_path": b"/encode", "query_string": b""}
    scope |= {"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http"}
    messages: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    assert messages[0]["status"] == 401


async def test_a_flood_without_keys_is_never_told_that_the_queue_is_full(weights: Path) -> None:
    async with with_keys(weights, max_queue_items=2, max_items=2, requests_per_minute=1) as client:
        engine = client.app.state.registry.models[TINY].loaded.engine  # type: ignore[attr-defined]
        engine.require_room = lambda *_: pytest.fail("the queue was asked")
        answers = await asyncio.gather(*(client.post("/encode", json=BODY) for _ in range(200)))
        assert {answer.status_code for answer in answers} == {401}


async def test_preflights_need_no_key_and_refusals_can_be_read_by_allowed_pages(weights: Path) -> None:
    async with with_keys(weights, cors_origins="https://app.example") as client:
        page = {"origin": "https://app.example"}
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-api-key"}
        preflight = await client.options("/encode", headers=page | asked)
        assert preflight.status_code == 200
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        refused = await client.post("/encode", json=BODY, headers=page)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page["origin"])
        answer = await client.post("/encode", json=BODY, headers=page | bearer(INFER_SECRET))
        assert answer.status_code == 200


async def test_a_key_that_is_revoked_is_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret, key = make_key("ci", created="2026-11-28T00:00:00Z")
    path.write_text(json.dumps({"keys": [entry(key)]}))
    async with served(Settings(weights_dir=weights, keys_file=path)) as client:
        assert (await client.get("/info", headers=bearer(secret))).status_code == 200
        write_keys(path, [])
        client.app.state.keys.reload()  # type: ignore[attr-defined]
        assert (await client.get("/info", headers=bearer(secret))).status_code == 401


def entry(key: ApiKey) -> dict[str, Any]:
    return {"name": key.name, "role": key.role, "hash": f"sha256:{key.digest.hex()}", "created": key.created}


async def test_the_rate_of_a_key_is_limited(weights: Path) -> None:
    secret, key = make_key("slow", requests_per_minute=2)
    async with with_keys(weights, key, INFER_KEY) as client:
        for status in (200, 200, 429):
            answer = await client.post("/encode", json=BODY, headers=bearer(secret))
            assert answer.status_code == status, answer.text
        assert answer.json()["type"] == "/errors/rate-limited"
        assert answer.json()["detail"] == "the key 'slow' may send 2 requests a minute"
        assert 25 <= int(answer.headers["retry-after"]) <= 30
        assert (await client.post("/encode", json=BODY, headers=bearer(INFER_SECRET))).status_code == 200
        assert (await client.get("/health/live", headers=bearer(secret))).status_code == 200


async def test_the_requests_of_a_key_at_the_same_time_are_limited(weights: Path) -> None:
    secret, key = make_key("one", max_concurrent=1)
    async with with_keys(weights, key) as client:
        is_inside, may_end = asyncio.Event(), asyncio.Event()

        async def slow_body() -> AsyncIterator[bytes]:
            is_inside.set()
            await may_end.wait()
            yield json.dumps(BODY).encode()

        first = asyncio.create_task(client.post("/encode", content=slow_body(), headers=bearer(secret)))
        await is_inside.wait()
        refused = await client.post("/encode", json=BODY, headers=bearer(secret))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        may_end.set()
        assert (await first).status_code == 200
        assert (await client.post("/encode", json={}, headers=bearer(secret))).status_code == 422  # a place ends too
        assert (await client.post("/encode", json=BODY, headers=bearer(secret))).status_code == 200


async def test_without_keys_addresses_are_limited(weights: Path) -> None:
    settings = Settings(weights_dir=weights, requests_per_minute=1, trusted_proxies="10.0.0.1")
    async with served(settings) as client, clients_from(client, "10.0.0.1") as proxy:
        assert (await client.get("/info")).status_code == 200
        refused = await client.get("/info")
        assert (refused.status_code, refused.json()["type"]) == (429, "/errors/rate-limited")
        assert (await client.get("/health/live")).status_code == 200
        for address in ("8.8.8.8", "9.9.9.9"):
            sent = {"x-forwarded-for": f"7.7.7.7, {address}"}
            assert (await proxy.get("/info", headers=sent)).status_code == 200
            assert (await proxy.get("/info", headers=sent)).status_code == 429


async def test_a_client_beyond_its_limit_is_told_so_in_the_words_of_each_dialect(weights: Path) -> None:
    said = "the address 127.0.0.1 may send 1 request a minute"
    async with served(Settings(weights_dir=weights, requests_per_minute=1)) as client:
        assert (await client.get("/info")).status_code == 200
        for path, expected in (
            (f"/tei/{TINY}/embed", {"error": said, "error_type": "Overloaded"}),
            (f"/hf/{TINY}", {"error": said, "error_type": "overloaded"}),
            ("/v2/rerank", {"message": said}),
            ("/api/embed", {"error": said}),
            (f"/v2/models/{TINY}/infer", {"error": said}),
        ):
            refused = await client.post(path, json={})
            assert (refused.status_code, refused.json()) == (429, expected)
        error = (await client.post("/v1/embeddings", json={})).json()["error"]
        assert error == {"message": said, "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}


async def test_without_keys_this_machine_may_load_and_others_may_not(own_client: httpx.AsyncClient) -> None:
    path = f"/models/{TINY}/load"
    for headers in ({}, {"host": "127.0.0.1:8000"}, {"host": "[::1]"}, bearer(INFER_SECRET)):
        assert (await own_client.post(path, headers=headers)).status_code == 200
    for headers in ({"x-forwarded-for": "127.0.0.1"}, {"host": "models.example"}, {"via": "1.1 proxy"}):
        for end in ("", "%0A"):
            refused = await own_client.post(path + end, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (403, "/errors/forbidden")
    async with clients_from(own_client, "172.17.0.1") as other:
        refused = await other.post(path)
        assert refused.status_code == 403
        assert "this request comes from 172.17.0.1; make a key with `manifold keys new" in refused.json()["detail"]
        assert (await other.post("/encode", json=BODY)).status_code == 200


class ForeignError(BaseModel):
    error: str


async def test_a_dialect_refuses_in_its_own_form_and_declares_it(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = Dialect(
        name="foreign",
        description="A dialect.",
        prefixes=("/v1/",),
        render_error=lambda problem: (problem.status, {"error": problem.detail}),
        error=ForeignError,
    )
    router = APIRouter()

    @router.post("/v1/models/{id}/load", responses={400: {"model": ForeignError}})
    async def load() -> str:
        return "loaded"

    monkeypatch.setattr("app.main.DIALECTS", (SimpleNamespace(DIALECT=dialect, router=router),))
    async with with_keys(weights) as client:
        refused = await client.post("/v1/models/x/load")
        assert (refused.status_code, [*refused.json()]) == (401, ["error"])
        assert refused.headers["www-authenticate"] == "Bearer"
        forbidden = await client.post("/v1/models/x/load", headers=bearer(INFER_SECRET))
        assert (forbidden.status_code, [*forbidden.json()]) == (403, ["error"])
        assert (await client.post("/v1/models/x/load", headers=bearer(ADMIN_SECRET))).json() == "loaded"
        declared = (await client.get("/openapi.json")).json()["paths"]["/v1/models/{id}/load"]["post"]["responses"]
        for status in ("400", "401", "403", "429"):
            content = declared[status]["content"]["application/json"]
            assert content == {"schema": {"$ref": "#/components/schemas/ForeignError"}}


async def test_a_socket_is_closed_where_keys_are_set(weights: Path) -> None:
    app = create_app(Settings(weights_dir=weights, api_keys=KEYS))
    sent: list[Any] = []

    @app.websocket("/mine")
    async def mine() -> None:
        pytest.fail("the route was reached")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/mine", "headers": [], "query_string": b"", "subprotocols": []}
    await app({**scope, "scheme": "ws", "client": ("127.0.0.1", 1)}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_work_is_shared_between_keys_or_between_addresses(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients: list[str] = []
    put = JobQueue.put

    def record(queue: JobQueue, job: Job) -> bool:
        clients.append(job.client)
        return put(queue, job)

    monkeypatch.setattr(JobQueue, "put", record)
    async with with_keys(weights) as client:
        for secret in (INFER_SECRET, ADMIN_SECRET):
            assert (await client.post("/encode", json=BODY, headers=bearer(secret))).status_code == 200
    async with served(Settings(weights_dir=weights, trusted_proxies="10.0.0.1")) as client:
        assert (await client.post("/encode", json=BODY)).status_code == 200
        async with clients_from(client, "10.0.0.1") as proxy:
            forwarded = {"x-forwarded-for": "192.0.2.7"}
            assert (await proxy.post("/encode", json=BODY, headers=forwarded)).status_code == 200
    assert clients == ["ci", "me", "127.0.0.1", "192.0.2.7"]

"""Web pages of other sites change nothing; programs, and pages of this server, are not hindered."""

from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.app.items import images
from tests.conftest import TINY, served

pytestmark = pytest.mark.anyio

BODY = {"inputs": images(1).tolist()}
REFUSED = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:9999"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "content-type": "text/plain"},
    {"origin": "http://evil.example", "host": "evil.example", "sec-fetch-site": "same-origin"},
    {"host": "evil.example:8000", "sec-fetch-site": "same-origin"},
    {"host": "[::1", "sec-fetch-site": "same-origin"},
    {"host": "localhost.evil.example", "origin": "http://localhost.evil.example"},
]
ALLOWED = [
    {},
    {"host": "manifold.internal:8000"},
    {"origin": "http://localhost"},
    {"origin": "http://localhost", "sec-fetch-site": "same-origin"},
    {"origin": "http://127.0.0.1:8000", "host": "127.0.0.1:8000", "sec-fetch-site": "same-origin"},
    {"origin": "http://[::1]:8000", "host": "[::1]:8000"},
    {"sec-fetch-site": "none"},
    {"host": "localhost", "origin": "https://localhost"},  # behind a proxy that ends TLS
]


async def state(client: httpx.AsyncClient) -> str:
    card = (await client.get(f"/models/{TINY}")).json()
    return str(card["state"])


@pytest.mark.parametrize("headers", REFUSED, ids=str)
async def test_a_page_of_another_site_cannot_unload_a_model(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    headers = {"host": "localhost", **headers}
    for path in (f"/models/{TINY}/unload", "/encode"):
        answer = await client.post(path, headers=headers)
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"] == "/errors/cross-site-request"
    assert await state(client) == "ready"


@pytest.mark.parametrize("headers", ALLOWED, ids=str)
async def test_programs_and_pages_of_this_server_are_not_hindered(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/encode", json=BODY, headers={"host": "localhost", **headers})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("headers", REFUSED, ids=str)
async def test_what_changes_nothing_is_answered_without_permission_to_read_it(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.get("/info", headers={"host": "localhost", **headers})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_allowed_origins_and_hosts(weights: Path) -> None:
    settings = Settings(weights_dir=weights, cors_origins="https://app.example", allowed_hosts="manifold.example")
    async with served(settings) as client:
        asked = {"host": "manifold.example", "origin": "https://app.example", "sec-fetch-site": "cross-site"}
        answer = await client.post("/encode", json=BODY, headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        preflight = await client.options("/encode", headers={**asked, "access-control-request-method": "POST"})
        assert preflight.status_code == 200
        own_page = {"host": "manifold.example", "origin": "http://manifold.example"}
        assert (await client.post("/encode", json=BODY, headers=own_page)).status_code == 200
        others = {**asked, "origin": "https://other.example"}
        assert (await client.post(f"/models/{TINY}/load", headers=others)).status_code == 403

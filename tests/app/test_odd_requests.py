"""Requests that have broken this server or could: generated ones, those of attackers and those of careless clients.

`odd_requests.json` has them, each with what it is about and the status that answers it. Whatever generated requests
find (`make acceptance`) is added there. Bodies are written in Latin-1; long ones by the part that they repeat.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.routes.test_openai import write_models
from tests.conftest import served

pytestmark = pytest.mark.anyio
REQUESTS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("odd_requests.json").read_text())


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_models(root)
    async with served(Settings(weights_dir=root, max_items=20)) as client:
        yield client


@pytest.mark.parametrize("request_", REQUESTS, ids=[each["about"] for each in REQUESTS])
async def test_the_request_is_answered_as_before(client: httpx.AsyncClient, request_: dict[str, Any]) -> None:
    body = request_["body"]
    if not isinstance(body, str):
        body = body["before"] + body["repeated"] * body["times"] + body["after"]
    headers = {name: value.encode("latin-1") for name, value in request_["headers"].items()}
    content = body.encode("latin-1")
    answer = await client.request(request_["method"], request_["path"], headers=headers, content=content)
    assert answer.status_code == request_["status"]
    if request_["method"] != "HEAD":
        assert answer.json()

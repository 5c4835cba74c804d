import base64
import hashlib
import re

import httpx
import pytest

from models.autoencoding.tasks import AUTOENCODER_TASKS
from tests.conftest import TINY

pytestmark = pytest.mark.anyio

N_CALIBRATION = 1 + 2 * 30 + 2 * 3 + (2 + 2 * 3 + 2 * 3 * 3 + 3 + 3 * 3 + 3)
"""Numbers: percentile, two scores of 30 items, a latent's mean and deviation, and a mixture of two, 3 wide."""


async def test_a_model_tells_all_about_itself(client: httpx.AsyncClient) -> None:
    (card,) = (await client.get("/models")).json()["models"]
    assert card == (await client.get(f"/models/{TINY}")).json()
    assert len(card.pop("sha256")) == 64
    assert card.pop("memory_bytes") >= 4 * (339 + N_CALIBRATION)
    assert card == {
        "id": TINY,
        "state": "ready",
        "reason": None,
        "family": "autoencoders/vanilla",
        "title": "Vanilla autoencoder",
        "tasks": [task.name for task in AUTOENCODER_TASKS],
        "item": {
            "modality": "image",
            "shape": [1, 4, 4],
            "bandwidths": None,
            "multiple": None,
            "paper": None,
            "ink_box": None,
            "columns": None,
            "time": None,
            "key": None,
        },
        "limits": {"max_items": 100, "max_pixels": 2**26},
        "known_failings": None,
        "latent_shape": [3],
        "embedding_width": None,
        "pooling": None,
        "normalize": None,
        "similarity": None,
        "prompts": None,
        "default_prompt_name": None,
        "tokenizer_class": None,
        "has_token_types": None,
        "generation_defaults": None,
        "self_check": None,
        "drift": None,
        "labels": [],
        "scores": ["mse", "mae"],
        "samplers": ["gmm"],
        "lossless": False,
        "parameters": 339,
        "dtype": "float32",
        "dtype_reason": "what it is calibrated in, and its streams are decoded in",
        "cosine_to_float32": 1.0,
        "queued_items": 0,
        "running_sequences": 0,
        "unused_weights": [],
        "missing_heads": [],
        "label_activation": None,
        "metrics": {},
        "licence": "Apache-2.0",
    }


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/load"), ("POST", "/unload")])
async def test_an_unknown_model_is_a_404_that_lists_the_known(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, f"/models/nobody{path}")
    assert (answer.status_code, answer.json()["detail"]) == (404, f"no model is named 'nobody'; there are: {TINY}")


async def test_info_shows_the_limits_in_force(client: httpx.AsyncClient) -> None:
    info = (await client.get("/info")).json()
    assert info["limits"]["max_items"] == 100
    assert info["limits"]["max_body_bytes"] == 32 * 2**20
    assert info["device"] == "cpu"


@pytest.mark.parametrize("page", ["/", "/docs", "/redoc"])
async def test_pages_load_nothing_from_elsewhere(client: httpx.AsyncClient, page: str) -> None:
    html = (await client.get(page)).text
    assert "http://" not in html
    assert "https://" not in html


async def test_paths_outside_the_static_folder_are_not_served(client: httpx.AsyncClient) -> None:
    for path in ("/static/../settings.py", "/static/%2e%2e/settings.py", "/static//etc/passwd"):
        assert (await client.get(path)).status_code == 404


async def test_a_fault_of_ours_tells_nothing_but_the_request_id(
    own_client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = own_client.app  # type: ignore[attr-defined]
    monkeypatch.setattr(app.state.registry, "models", None)
    answer = await own_client.get("/models", headers={"x-request-id": "find-me"})
    assert answer.status_code == 500
    assert answer.json()["type"] == "/errors/internal-error"
    assert "NoneType" not in answer.text
    (record,) = [record for record in caplog.records if record.getMessage() == "unexpected error"]
    assert vars(record)["request_id"] == "find-me"
    assert record.exc_info


async def test_a_passed_deadline_is_a_504_that_names_it(own_client: httpx.AsyncClient) -> None:
    engine = own_client.app.state.registry.models[TINY].loaded.engine  # type: ignore[attr-defined]
    engine._queue.take = lambda *_: None  # nothing is dispatched any more
    engine._queue.close()
    for worker in engine.workers:  # that wait already, and would take what comes before they have woken
        worker._worker.thread.join(10)
    answer = await own_client.post("/encode", json={"inputs": [[0.0] * 16]}, headers={"x-timeout-ms": "1"})
    assert (answer.status_code, answer.json()["detail"]) == (
        504,
        "the answer was not ready within 1 ms; send fewer or smaller items; or allow more time by the header "
        "x-timeout-ms, at most 600000",
    )
    assert engine.n_queued == 0


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_documentation_pages_run_no_script_but_their_own(client: httpx.AsyncClient, page: str) -> None:
    answer = await client.get(page)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
    inline = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline]
    assert policy["script-src"].split() == ["'self'", *(f"'sha256-{each}'" for each in hashes)]
    assert (len(inline) == 1) == (page == "/docs")

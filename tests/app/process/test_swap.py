"""A checkpoint that is replaced on disk under load: no request fails, and each answer is that of one version."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.app.server import Served, serve, wait_logged
from tests.app.texts import write_text

N_SWAPS = 5
N_THREADS = 2
"""Number of threads for each kind of request."""
ENCODER, GENERATOR = "encoder", "generator"
TEXTS = ["the dog sees w35 and the cat runs", "a cat"]
"""The word w35 is only in the vocabulary of version A."""
GENERATE = {"model": GENERATOR, "inputs": TEXTS[:1], "parameters": {"max_new_tokens": 24, "stream": True}}
RETIRED = "the former version of a model is unloaded"

Ask = Callable[[httpx.Client], str]


def encode(client: httpx.Client) -> str:
    """The embeddings, rounded, because they depend a little on who shares the batch."""
    answer = client.post("/encode", json={"model": ENCODER, "inputs": TEXTS})
    assert answer.status_code == 200, answer.text
    return json.dumps([[round(x, 3) for x in output["embedding"]] for output in answer.json()["outputs"]])


def tokenize(client: httpx.Client) -> str:
    answer = client.post("/tokenize", json={"model": ENCODER, "inputs": TEXTS})
    assert answer.status_code == 200, answer.text
    return json.dumps(answer.json()["outputs"])


def generate(client: httpx.Client) -> str:
    """The text of a stream, which must end as a whole one does."""
    with client.stream("POST", "/generate", json=GENERATE) as answer:
        assert answer.status_code == 200, answer.read()
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert "usage" in events[-1], events
    return "".join(event.get("text", "") for event in events[:-1])


ASKS: dict[str, Ask] = {"encode": encode, "tokenize": tokenize, "generate": generate}


def point(link: Path, folder: Path) -> None:
    """Let a link lead to another folder, in one step."""
    new = link.with_name("new")
    new.symlink_to(folder)
    new.replace(link)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Two versions of each model, which differ in their weights, widths and vocabularies."""
    root = tmp_path_factory.mktemp("versions")
    changes: dict[str, dict[str, Any]] = {"A": {}, "B": {"vocab_size": 55, "width": 15, "inner_width": 28}}
    return {
        model: {version: write_text(root / version, family, **changed) for version, changed in changes.items()}
        for model, family in ((ENCODER, "transformers/bert"), (GENERATOR, "transformers/gpt"))
    }


@pytest.fixture(scope="module")
def links(versions: dict[str, dict[str, Path]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("links")
    for model, folders in versions.items():
        (root / model).mkdir()
        point(root / model / "current", folders["A"])
    return {model: root / model / "current" for model in versions}


@pytest.fixture(scope="module")
def server(links: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = [part for model, link in links.items() for part in ("--model", f"{model}={link}")]
    with serve(tmp_path_factory.mktemp("server"), *options, "--workers", "2", weights=links[ENCODER].parent) as served:
        yield served


def load_version(
    client: httpx.Client, links: dict[str, Path], versions: dict[str, dict[str, Path]], version: str
) -> None:
    for model, link in links.items():
        point(link, versions[model][version])
        answer = client.post(f"/models/{model}/load")
        assert (answer.status_code, answer.json()["state"]) == (200, "ready"), answer.text


def test_versions_are_swapped_under_load_without_a_failed_or_mixed_answer(
    server: Served, links: dict[str, Path], versions: dict[str, dict[str, Path]]
) -> None:
    expected: dict[str, dict[str, str]] = {name: {} for name in ASKS}
    memory: list[int] = []
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for version in "BA":
            load_version(client, links, versions, version)
            for name, ask in ASKS.items():
                expected[name][version] = ask(client)
        assert all(len({*by_version.values()}) == 2 for by_version in expected.values()), "the versions do not differ"
        seen: list[tuple[str, str]] = []
        failures: list[object] = []
        has_ended = threading.Event()

        def send(name: str, ask: Ask) -> None:
            with httpx.Client(base_url=server.url, timeout=30) as own:
                while not has_ended.is_set() and not failures:
                    try:
                        seen.append((name, ask(own)))
                    except BaseException as error:
                        failures.append(error)

        threads = [threading.Thread(target=send, args=item) for item in ASKS.items() for _ in range(N_THREADS)]
        for thread in threads:
            thread.start()
        try:
            for number in range(N_SWAPS):
                load_version(client, links, versions, "BA"[number % 2])
                memory.append(psutil.Process(server.process.pid).memory_info().rss)
        finally:
            has_ended.set()
            for thread in threads:
                thread.join(30)
    assert not failures
    for name, by_version in expected.items():
        answers = {answer for asked, answer in seen if asked == name}
        assert answers == {*by_version.values()}
    wait_logged(server, RETIRED)
    assert memory[-1] < 1.2 * memory[0]


def test_a_version_that_cannot_be_loaded_is_refused_and_the_old_one_serves_on(
    server: Served, links: dict[str, Path], versions: dict[str, dict[str, Path]], tmp_path: Path
) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        load_version(client, links, versions, "A")
        before: Any = client.get(f"/models/{ENCODER}").json()
        n_loaded = server.log.read_text().count("model ready")
        assert client.post(f"/models/{ENCODER}/load").json() == before  # nothing has changed
        assert server.log.read_text().count("model ready") == n_loaded
        answer_before = encode(client)
        damaged = tmp_path / "damaged"
        damaged.mkdir()
        for file in versions[ENCODER]["B"].iterdir():
            (damaged / file.name).write_bytes(file.read_bytes())
        os.truncate(damaged / "model.safetensors", 100)
        point(links[ENCODER], damaged)
        refused = client.post(f"/models/{ENCODER}/load")
        assert refused.status_code == 422
        assert refused.json()["detail"].startswith(
            "the new files of encoder cannot be loaded, and the version in memory goes on serving: "
            "encoder/model.safetensors is not a whole safetensors file"
        )
        assert client.get("/health/ready").status_code == 200
        assert encode(client) == answer_before
        load_version(client, links, versions, "A")

"""`manifold pull` against an imitation of the hub's HTTP API, and models given by path or id."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from app.cli import main
from app.errors import InvalidRequest
from app.registry.registry import Registry
from app.settings import Settings
from models.errors import CheckpointError
from tests.app.registry.stand_in_hub import COMMIT, REPOSITORY, Hub, serve_hub
from tests.app.server import serve
from tests.app.texts import write_text
from tests.conftest import served
from tests.models.autoencoders.diffusers_reference import publish
from tests.models.autoencoders.test_tiny import ODD


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serve_hub(tmp_path / "source") as stand_in:
        yield stand_in


def limit_files(n_bytes: int) -> None:
    """Limit the size of the files that this process may write, as on a full disk."""
    import resource  # which is only there on Unix

    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def pull(
    hub: Hub, home: Path, what: str = REPOSITORY, max_file_bytes: int | None = None, options: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", "from app.cli import main; main()", "pull", what, *options]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=None if max_file_bytes is None else lambda: limit_files(max_file_bytes),
    )


def cached(home: Path) -> list[str]:
    return sorted(path.name for path in home.glob("hub/models--org--tiny/snapshots/*/*"))


def test_a_pulled_model_serves_by_its_id(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    done = pull(hub, home)
    assert done.returncode == 0, done.stderr
    assert f"{REPOSITORY} at {COMMIT}: BERT" in done.stdout
    assert f"manifold serve --model tiny={REPOSITORY}" in done.stdout
    assert "%|" in done.stderr  # a progress bar
    assert "pytorch_model.bin" not in cached(home)
    monkeypatch.setenv("HF_HOME", str(home))
    empty = tmp_path / "none"
    empty.mkdir()
    given = ("--model", f"tiny={REPOSITORY}", "--model", f"pinned={REPOSITORY}@{COMMIT}")
    with serve(tmp_path, *given, weights=empty) as server:
        for name in ("tiny", "pinned"):
            answer = httpx.post(f"{server.url}/fill-mask", json={"model": name, "inputs": ["the [MASK] runs"]})
            assert answer.status_code == 200, answer.text


def test_a_sentence_encoder_is_pulled_with_the_folders_of_its_modules(hub: Hub, tmp_path: Path) -> None:
    paths = {"Transformer": "0_Transformer", "Pooling": "1_Pooling"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in paths.items()]
    hub.files = {f"0_Transformer/{name}": data for name, data in hub.files.items()}
    hub.files |= {"modules.json": json.dumps(modules).encode(), "1_Pooling/config.json": b"{}"}
    done = pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{REPOSITORY} at {COMMIT}: BERT" in done.stdout
    assert not list(tmp_path.rglob("pytorch_model.bin"))


def test_a_folder_of_a_pipeline_is_pulled_alone_and_serves_by_its_id(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, vae = tmp_path / "home", tmp_path / "vae"
    publish(vae, "AutoencoderTiny", **ODD["narrow"])
    hub.files = {
        "model_index.json": b"{}",
        **{f"vae/{path.name}": path.read_bytes() for path in vae.iterdir()},
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": b"not wanted",
    }
    done = pull(hub, home)
    assert done.returncode == 1
    assert f"{REPOSITORY} is a pipeline of several models; choose one of its folders by --subfolder: unet, vae." in (
        done.stderr
    )
    assert pull(hub, home, options=("--subfolder", "text_encoder")).stderr == (
        f"Error: {REPOSITORY} at main has no folder text_encoder.\n"
    )
    done = pull(hub, home, options=("--subfolder", "vae"))
    assert done.returncode == 0, done.stderr
    assert f"{REPOSITORY} at {COMMIT}: Tiny autoencoder; " in done.stdout
    assert f"manifold serve --model tiny-vae={REPOSITORY}:vae" in done.stdout
    assert cached(home) == ["vae"]
    monkeypatch.setenv("HF_HOME", str(home))
    empty = tmp_path / "none"
    empty.mkdir()
    given = ("--model", f"vae={REPOSITORY}:vae", "--model", f"pinned={REPOSITORY}@{COMMIT}:vae")
    with serve(tmp_path, *given, weights=empty) as server:
        for name in ("vae", "pinned"):
            answer = httpx.post(f"{server.url}/decode", json={"model": name, "inputs": [[[[0.5]]] * 4]})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("subfolder", ["../vae", "vae/..", "/vae", "vae/", ".", "a b"])
def test_what_is_no_folder_of_a_repository_is_refused_before_any_request(subfolder: str) -> None:
    done = CliRunner().invoke(main, ["pull", "org/tiny", "--subfolder", subfolder])
    assert done.exit_code == 2
    assert f"{subfolder!r} is not a folder of a repository; it must be like vae or a/b." in done.output


def test_a_folder_is_named_once() -> None:
    done = CliRunner().invoke(main, ["pull", "org/tiny:vae", "--subfolder", "vae"])
    assert done.exit_code == 2
    assert "org/tiny:vae names the folder vae already; leave out --subfolder." in done.output


def test_an_interrupted_pull_resumes(hub: Hub, tmp_path: Path) -> None:
    hub.files["more.safetensors"] = bytes(24 * 2**20)  # the client writes 10 MiB at a time
    hub.break_after = 15 * 2**20
    first = pull(hub, tmp_path)
    second = first if first.returncode == 0 else pull(hub, tmp_path)
    assert second.returncode == 0, second.stderr
    ranges = [
        given for verb, path, given in hub.requests if verb == "GET" and path.endswith("more.safetensors") and given
    ]
    assert ranges, "nothing was resumed"
    assert all(int(given.removeprefix("bytes=").rstrip("-")) > 0 for given in ranges)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_a_full_disk_is_reported_and_the_next_pull_succeeds(hub: Hub, tmp_path: Path) -> None:
    hub.files["more.safetensors"] = bytes(24 * 2**20)
    done = pull(hub, tmp_path, max_file_bytes=12 * 2**20)
    assert done.returncode == 1
    assert f"{REPOSITORY} could not be downloaded: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "more.safetensors" not in cached(tmp_path)
    assert pull(hub, tmp_path).returncode == 0
    assert "more.safetensors" in cached(tmp_path)


def test_a_damaged_file_is_deleted(hub: Hub, tmp_path: Path) -> None:
    hub.damage = True
    done = pull(hub, tmp_path)
    assert done.returncode == 1
    assert "model.safetensors arrived with the SHA-256" in done.stderr
    assert "model.safetensors" not in cached(tmp_path)
    hub.damage = False
    assert pull(hub, tmp_path).returncode == 0


def test_a_repository_that_does_not_exist(hub: Hub, tmp_path: Path) -> None:
    done = pull(hub, tmp_path, "org/none")
    assert done.returncode == 1
    assert "org/none could not be downloaded: there is no model of this id" in done.stderr


@pytest.mark.parametrize("what", ["tiny", "../../etc", "org/tiny@", "org/tiny@a b", ""])
def test_a_malformed_hub_id_is_refused_before_any_request(what: str) -> None:
    done = CliRunner().invoke(main, ["pull", what])
    assert done.exit_code == 2
    assert (
        f"{what!r} is not an id of the hub; it must be ORG/NAME, and may end with @REVISION and :SUBFOLDER"
        in done.output
    )


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    done = pull(hub, tmp_path)
    assert done.returncode == 1
    assert (
        "has no safetensors file; pickles are never read; `manifold pull org/tiny --convert` converts " in done.stderr
    )
    assert not cached(tmp_path)


@pytest.mark.anyio
async def test_a_model_given_by_its_folder_serves_beside_one_that_fails(tmp_path: Path) -> None:
    good = write_text(tmp_path / "a", "transformers/gpt")
    bad = write_text(tmp_path / "b", "transformers/bert")
    (bad / "model.safetensors").write_bytes(b"damaged")
    empty = tmp_path / "none"
    empty.mkdir()
    async with served(Settings(weights_dir=empty, model={"good": str(good), "bad": str(bad)})) as client:
        failed = (await client.get("/models/bad")).json()
        assert failed["state"] == "failed"
        assert "bad/model.safetensors is not a whole safetensors file" in failed["reason"]
        body = {"model": "good", "inputs": ["a dog"], "parameters": {"max_new_tokens": 2}}
        assert (await client.post("/generate", json=body)).status_code == 200
        assert (await client.post("/encode", json={"model": "bad", "inputs": ["a"]})).status_code == 503
        assert (await client.get("/health/ready")).status_code == 503
    with serve(tmp_path, "--model", f"mine={good}", weights=empty) as server:
        body = {"model": "mine", "inputs": ["a dog"], "parameters": {"max_new_tokens": 2}}
        assert httpx.post(f"{server.url}/generate", json=body).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["org/tiny", "org%2Ftiny", "org%2ftiny"])
async def test_a_name_with_a_slash_is_written_in_paths_with_or_without_escape(tmp_path: Path, path: str) -> None:
    folder, empty = write_text(tmp_path, "transformers/gpt"), tmp_path / "none"
    empty.mkdir()
    async with served(Settings(weights_dir=empty, model={"org/tiny": str(folder)})) as client:
        assert (await client.get(f"/models/{path}")).json()["id"] == "org/tiny"
        assert (await client.post(f"/models/{path}/unload")).json()["state"] == "unloaded"
        body = {"model": "org/tiny", "inputs": ["a dog"]}
        refused = await client.post("/encode", json=body)
        assert (refused.status_code, "POST /models/org/tiny/load loads it" in refused.text) == (503, True)
        assert (await client.post(f"/models/{path}/load")).json()["state"] == "ready"
        assert (await client.post("/encode", json=body)).headers["x-model"] == "org/tiny"


def test_a_folder_that_is_offered_anyway_may_be_given_by_its_name(tmp_path: Path) -> None:
    write_text(tmp_path, "transformers/gpt")
    (folder,) = (tmp_path / "transformers/gpt").iterdir()
    registry = Registry(Settings(weights_dir=tmp_path, model={folder.name: f"{folder}/"}))
    assert list(registry.models) == [folder.name]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"a/b/c": "."}, InvalidRequest, "the name 'a/b/c' for . is not NAME or ORG/NAME"),
        ({"..": "."}, InvalidRequest, "the name '..'"),
        ({"../b": "."}, InvalidRequest, "the name '../b'"),
        ({"a/..": "."}, InvalidRequest, "the name 'a/..'"),
        ({"/b": "."}, InvalidRequest, "the name '/b'"),
        ({"a/": "."}, InvalidRequest, "the name 'a/'"),
        ({"gpt-0": "."}, InvalidRequest, "is taken"),
        ({"mine": "/nowhere"}, CheckpointError, "is not an id of the hub"),
        ({"mine": "org/never-pulled"}, CheckpointError, "`manifold pull org/never-pulled` fetches it"),
        ({"mine": "org/never-pulled:vae"}, CheckpointError, "`manifold pull org/never-pulled --subfolder vae` fetches"),
        ({"mine": "org/name:.."}, CheckpointError, "'..' is not a folder of a repository"),
    ],
)
def test_a_model_that_cannot_be_located(
    tmp_path: Path, given: dict[str, str], error: type[Exception], message: str
) -> None:
    write_text(tmp_path, "transformers/gpt")
    with pytest.raises(error, match=re.escape(message)):
        Registry(Settings(weights_dir=tmp_path, model=given))

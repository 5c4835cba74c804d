"""The image as a user without rights runs it: what it serves, where it writes, and what its health check finds."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from acceptance.container import BUILD_S, ROOT, USER_ID, VOLUME, Container, build, missing
from models.checkpoint import find_checkpoints
from tests.app.registry.stand_in_hub import COMMIT, REPOSITORY, serve_hub
from tests.app.server import SHIPPED, Served, free_port
from tests.models.onnx_graphs import SHAPE, decoder_model, encoder_model, networks

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.timeout(2 * BUILD_S),
]

SMALL = "vanilla-ae-mnist"
OWN = {"pulled", "fitted", "imported"}
"""Names of the models that are made in the container's volume."""
MADE_BY_BUILDAH = ("run", "run/.containerenv")
"""The file that Buildah writes anew before each program, and its folder."""
Entry = tuple[int, int, int]
"""The mode, size and time of modification of a file or folder."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, str]]:
    with build(tmp_path_factory.mktemp("container")) as found:
        yield found


@pytest.fixture(scope="module")
def container(built: tuple[Container, str]) -> Container:
    return built[0]


@pytest.fixture(scope="module")
def before(container: Container) -> dict[str, Entry]:
    """The files of the container before the user's first program; those where Buildah mounts others are there."""
    assert container.run("true").returncode == 0
    return list_files(container)


@pytest.fixture(scope="module")
def own(container: Container, before: dict[str, Entry], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pull a model, fit one to a table and import one, all with the commands of the image."""
    write_inputs(container.volume)
    with serve_hub(tmp_path_factory.mktemp("hub")) as hub:
        hub_variables = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
        pulled = container.run("manifold", "pull", REPOSITORY, variables=hub_variables)
    assert f"{REPOSITORY} at {COMMIT}: BERT" in pulled.stdout, pulled.stderr
    fitted = container.run("manifold", "fit", "readings.csv", "--name", "fitted", "--minutes", "0.1")
    assert fitted.returncode == 0, fitted.stdout + fitted.stderr
    files = ("encoder.onnx", "decoder.onnx", "--calibrate", "sample.npy")
    imported = container.run("manifold", "import-onnx", *files, "--name", "imported")
    assert imported.returncode == 0, imported.stdout + imported.stderr


@pytest.fixture(scope="class")
def server(container: Container, own: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with every model that is shipped, and those of the volume."""
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    with container.serve(log, port, "--port", str(port), "--model", f"pulled={REPOSITORY}") as served:
        yield served


def write_inputs(volume: Path) -> None:
    """Write a table, two networks and a sample of their items where the user of the container reads them."""
    random = np.random.default_rng(0)
    level = random.normal(size=400)
    rows = np.stack([level, 2 * level + random.normal(scale=0.1, size=400), random.normal(size=400)], 1)
    np.savetxt(volume / "readings.csv", rows, delimiter=",", header="flow,pressure,noise", comments="")
    encoder, decoder = networks()
    (volume / "encoder.onnx").write_bytes(encoder_model(encoder).SerializeToString())
    (volume / "decoder.onnx").write_bytes(decoder_model(decoder).SerializeToString())
    np.save(volume / "sample.npy", random.random((200, *SHAPE), dtype=np.float32))


def list_files(container: Container) -> dict[str, Entry]:
    """Return what the container's own files are, apart from the volume and what the system mounts."""
    found: dict[str, Entry] = {}
    with container.files() as root:
        for folder, subfolders, names in os.walk(root):
            if Path(folder) == root:
                subfolders[:] = [name for name in subfolders if name not in ("data", "dev", "proc", "sys")]
            for path in (Path(folder) / name for name in (*subfolders, *names)):
                status = path.lstat()
                found[str(path.relative_to(root))] = (status.st_mode, status.st_size, status.st_mtime_ns)
    for name in MADE_BY_BUILDAH:
        found.pop(name, None)
    return found


def test_the_user_can_write_to_the_volume_alone(container: Container) -> None:
    assert container.config["User"] == f"{USER_ID}:{USER_ID}"
    assert list(container.config["Volumes"]) == [VOLUME]
    assert container.run("id", "-u").stdout.strip() == str(USER_ID)
    mounted = r"( -path /proc -o -path /sys -o -path /dev ) -prune"
    found = container.run("find", "/", *mounted.split(), "-o", "-writable", "-not", "-type", "l", "-print")
    assert found.stdout.split()[0] == VOLUME
    assert all(path.startswith(VOLUME) for path in found.stdout.split())


class TestServer:
    """One server, which has ended before the health check of others is tested."""

    def test_the_server_serves_every_shipped_model_and_those_of_the_volume(self, server: Served) -> None:
        models = {model["id"]: model["state"] for model in httpx.get(f"{server.url}/models").json()["models"]}
        shipped = {folder.name for folder in find_checkpoints(SHIPPED)}
        assert models == dict.fromkeys(shipped | OWN, "ready")
        masked = {"model": "pulled", "inputs": ["the [MASK] runs"]}
        assert httpx.post(f"{server.url}/fill-mask", json=masked).status_code == 200
        row = {"model": "fitted", "inputs": [{"flow": 0.1, "pressure": 0.2, "noise": 0.3}]}
        assert httpx.post(f"{server.url}/detect-anomalies", json=row).status_code == 200
        item = {"model": "imported", "inputs": np.zeros((1, *SHAPE)).tolist()}
        assert httpx.post(f"{server.url}/reconstruct", json=item).status_code == 200
        text = httpx.post(f"{server.url}/encode", json={"inputs": ["A dog runs through the grass."]})
        assert text.status_code == 200, text.text

    @pytest.mark.skipif(not shutil.which("curl"), reason="the README's request uses curl")
    def test_the_readmes_request_gives_the_picture_it_shows(self, server: Served, tmp_path: Path) -> None:
        command = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
        shutil.copytree(ROOT / "docs/examples", tmp_path / "docs/examples")
        command = command.replace("localhost:8000", server.url)
        subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
        got, shown = (
            np.asarray(Image.open(path)).astype(np.int16)
            for path in (tmp_path / "reconstruction.png", ROOT / "docs/examples/seven-reconstructed.png")
        )
        assert np.abs(got - shown).max() <= 1

    def test_nothing_was_written_outside_the_volume(
        self, container: Container, before: dict[str, Entry], server: Served
    ) -> None:
        after = list_files(container)
        assert {path: entry for path, entry in after.items() if before.get(path) != entry} == {}
        assert before.keys() == after.keys()
        assert (container.volume / "huggingface/hub/models--org--tiny").is_dir()
        assert {path.name for path in (container.volume / "checkpoints").iterdir()} == OWN - {"pulled"}


@pytest.mark.parametrize("way", ["variable", "option", "file", "variable and option"])
def test_the_health_check_follows_the_port(container: Container, way: str, tmp_path: Path) -> None:
    assert container.check_health().returncode == 1
    port, other = free_port(), free_port()
    (container.volume / "manifold.toml").write_text(f"port = {port}\n")
    options, variables = {
        "variable": ((), {"MANIFOLD_PORT": str(port)}),
        "option": (("--port", str(port)), {}),
        "file": (("--config", f"{VOLUME}/manifold.toml"), {}),
        "variable and option": (("--port", str(port)), {"MANIFOLD_PORT": str(other)}),
    }[way]
    with container.serve(tmp_path / "log", port, "--models", SMALL, *options, variables=variables):
        healthy = container.check_health()
        assert healthy.returncode == 0, healthy.stderr
    unhealthy = container.check_health()
    assert (unhealthy.returncode, unhealthy.stderr.splitlines()[0]) == (1, "No server listens.")


def test_the_sizes_are_printed(built: tuple[Container, str]) -> None:
    sizes = dict(line.split("\t")[::-1] for line in built[1].splitlines() if re.match(r"\d+MB\t", line))
    megabytes = {path.rpartition("/")[2]: int(size.removesuffix("MB")) for path, size in sizes.items()}
    total = megabytes.pop("total")
    assert {"weights", "torch", "onnxruntime", "pyarrow", "sklearn", "manifold"} <= megabytes.keys()
    assert sum(megabytes.values()) == pytest.approx(total, abs=len(megabytes))


def test_the_bill_of_materials_has_every_package(container: Container) -> None:
    bill = json.loads((ROOT / "dist/sbom.cdx.json").read_text())
    components = {each["name"].lower().replace("_", "-"): each["version"] for each in bill["components"]}
    program = (
        "from importlib.metadata import distributions; print(*(f'{d.name}=={d.version}' for d in distributions()))"
    )
    listed = container.run("python3", "-I", "-c", program).stdout.split()
    installed = dict(each.lower().replace("_", "-").split("==") for each in listed)
    assert installed.keys() - {"manifold"} <= components.keys()
    assert {name: components[name] for name in installed.keys() & components.keys()} == {
        name: version for name, version in installed.items() if name in components
    }
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().lower().splitlines())
    assert components["torch"].partition("+")[0] == pins["torch"]

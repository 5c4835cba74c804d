"""The whole way: networks of torch, their ONNX files, `manifold import-onnx`, and requests to the server."""

import hashlib
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import helper
from safetensors.torch import load_file, save_file

from app.settings import Settings
from models.autoencoding.calibration import percentile_for
from models.checkpoint import load_model, read_checkpoint
from models.errors import CheckpointError
from tests.conftest import TINY, served, write_tiny
from tests.models.onnx_graphs import N_WEIGHTS, SHAPE, WIDTH, decoder_model, encoder_model, networks
from training.fit.calibrate_command import calibrate
from training.fit.onnx_command import import_onnx

GUIDE = (Path(__file__).parents[3] / "docs/your-data.md").read_text()
N = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("onnx")
    encoder, decoder = networks()
    (root / "encoder.onnx").write_bytes(encoder_model(encoder).SerializeToString())
    (root / "decoder.onnx").write_bytes(decoder_model(decoder).SerializeToString())
    np.save(root / "sample.npy", np.random.default_rng(0).random((N, *SHAPE), dtype=np.float32))
    write_tiny(root / "weights")
    return root


def run(folder: Path, *options: object, encoder: str = "encoder.onnx", sample: str = "sample.npy") -> Result:
    paths = [folder / encoder, folder / "decoder.onnx", "--calibrate", folder / sample, "--output", folder / "own"]
    return CliRunner().invoke(import_onnx, [*map(str, paths), *map(str, options)])


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    done = run(folder, "--name", "mine", "--licence", "MIT", "--false-alarms", "0.05", "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
async def client(folder: Path, result: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=folder / "weights", checkpoints_dir=folder / "own")) as client:
        yield client


async def outputs(client: httpx.AsyncClient, task: str, inputs: Any, **parameters: Any) -> Any:
    body = {"model": "mine", "parameters": parameters, **({} if inputs is None else {"inputs": inputs})}
    answer = await client.post(f"/{task}", json=body)
    assert answer.status_code == 200, (task, answer.text)
    return answer.json()["outputs"]


def test_what_was_imported_is_told_and_measured(folder: Path, result: dict[str, Any]) -> None:
    encoder, decoder = networks()
    items = torch.from_numpy(np.load(folder / "sample.npy"))
    errors = (decoder(encoder(items)) - items).square().flatten(1).mean(1)
    assert result["mse"] == pytest.approx(errors.mean().item(), rel=1e-5)
    assert result["threshold"] == pytest.approx(errors.quantile(percentile_for(0.05, N) / 100).item(), rel=1e-5)
    shapes = {"item_shape": list(SHAPE), "latent_shape": [WIDTH], "modality": "image"}
    assert result.items() >= {**shapes, "n_items": N, "n_weights": N_WEIGHTS, "false_alarm_rate": 0.05}.items()
    checkpoint = read_checkpoint(folder / "own" / "mine")
    assert (checkpoint.licence, checkpoint.spec.id) == ("MIT", "autoencoders/onnx")
    assert "imported from `encoder.onnx`" in (folder / "own" / "mine" / "README.md").read_text()
    assert sorted(path.name for path in (folder / "own").iterdir()) == ["mine"]


@pytest.mark.anyio
async def test_every_task_answers_with_what_the_networks_make(client: httpx.AsyncClient) -> None:
    encoder, decoder = networks()
    items = torch.rand(9, *SHAPE, generator=torch.Generator().manual_seed(1))
    latents, given = encoder(items), items.tolist()
    restored = decoder(latents)

    async def check(task: str, inputs: Any, member: str, expected: torch.Tensor, **parameters: Any) -> None:
        found = torch.tensor([output[member] for output in await outputs(client, task, inputs, **parameters)])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    await check("encode", given, "latent", latents)
    await check("decode", latents.tolist(), "reconstruction", restored)
    await check("reconstruct", given, "reconstruction", restored)
    await check("denoise", given, "denoised", restored)
    await check("detect-anomalies", given, "score", (restored - items).square().flatten(1).mean(1))
    (path,) = await outputs(client, "interpolate", given[:2], steps=3)
    frames = decoder(torch.stack([latents[0], latents[:2].mean(0), latents[1]]))
    torch.testing.assert_close(torch.tensor(path["frames"]), frames, rtol=1e-4, atol=1e-5)
    (sample,) = await outputs(client, "sample", None, n=1, seed=3)
    drawn = decoder(torch.tensor(sample["latent"])[None])[0]
    torch.testing.assert_close(torch.tensor(sample["sample"]), drawn, rtol=1e-4, atol=1e-5)
    (packed,) = await outputs(client, "compress", given[:1], bits=16)
    (unpacked,) = await outputs(client, "decompress", [packed["stream"]])
    torch.testing.assert_close(torch.tensor(unpacked["items"][0]), restored[0], rtol=1e-3, atol=1e-3)
    (imputed,) = await outputs(client, "impute", [[None, *items[0].flatten().tolist()[1:]]])
    torch.testing.assert_close(torch.tensor(imputed["imputed"]).flatten()[1:], items[0].flatten()[1:])
    assert len(await outputs(client, "project", given)) == 9
    card = (await client.get("/models/mine")).json()
    assert (card["parameters"], card["state"]) == (N_WEIGHTS, "ready")


def test_numbers_out_of_range_are_served_as_vectors(folder: Path) -> None:
    np.savez(folder / "wide.npz", only=np.load(folder / "sample.npy").astype(np.float64) * 3)
    done = run(folder, "--name", "wide", "--output", folder / "wide", sample="wide.npz")
    assert done.exit_code == 0, done.output
    assert "served as numbers" in done.output
    model = read_checkpoint(folder / "wide" / "wide")
    assert (model.modality, model.item_shape) == ("vector", SHAPE)
    done = run(folder, "--name", "other", "--as", "image", sample="wide.npz")
    assert "--as image is for numbers from 0 to 1; here they are from" in done.output


def test_the_threshold_can_be_set_anew(folder: Path) -> None:
    done = run(folder, "--name", "again", "--as", "vector", "--output", folder / "again")
    assert done.exit_code == 0, done.output
    np.save(folder / "new.npy", np.load(folder / "sample.npy")[:50])
    arguments = ["again", folder / "new.npy", "--checkpoints", folder / "again", "--false-alarms", "0.1", "--json"]
    done = CliRunner().invoke(calibrate, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_scores"] == 50
    assert load_model(read_checkpoint(folder / "again" / "again"))


def _arrays(folder: Path) -> dict[str, dict[str, Any]]:
    items = np.load(folder / "sample.npy")
    broken = items.copy()
    broken[3, 0, 0, 0] = np.nan
    return {
        "shape": {"only": items.reshape(N, 16)},
        "few": {"only": items[:19]},
        "broken": {"only": broken},
        "two": {"one": items, "other": items},
        "text": {"only": np.full((N, *SHAPE), "a")},
        "objects": {"only": np.full((N, *SHAPE), None)},
    }


@pytest.mark.parametrize(
    ("array", "words"),
    [
        ("shape", r"shape \[200, 16\] and the type float32; the model takes numbers of the shape \[items, 1, 4, 4\]"),
        ("few", "few.npz has 19 items; 20 are the least"),
        ("broken", r"broken.npz, item 3: the value nan at \[0, 0, 0\] is not a finite number"),
        ("two", "two.npz has 2 arrays; it must have one"),
        ("text", "and the type <U1"),
        ("objects", "Object arrays cannot be loaded"),
    ],
)
def test_a_sample_that_cannot_be_used_is_refused(folder: Path, array: str, words: str) -> None:
    np.savez(folder / f"{array}.npz", **_arrays(folder)[array])
    done = run(folder, "--name", "other", sample=f"{array}.npz")
    assert done.exit_code == 1
    assert re.search(words, done.output), done.output
    assert not (folder / "own" / "other").exists()


def test_what_cannot_be_done_is_said(folder: Path, result: dict[str, Any]) -> None:
    encoder = networks()[0]
    fixed = encoder_model(encoder, batch=1).SerializeToString()
    (folder / "fixed.onnx").write_bytes(fixed)
    (folder / "empty.onnx").write_bytes(b"")
    model = encoder_model(encoder)
    model.graph.node[-1].output[0] = "linear"
    model.graph.node.append(helper.make_node("Log", ["linear"], ["latent"]))
    (folder / "nan.onnx").write_bytes(model.SerializeToString())
    for arguments, encoder_file, words in (
        (["--name", "mine"], "encoder.onnx", "mine exists; give --replace"),
        (["--name", "../x"], "encoder.onnx", "--name is '../x'"),
        (["--name", "other", "--false-alarms", "0.001"], "encoder.onnx", "cannot be promised from 200 held-out scores"),
        (["--name", "other"], "fixed.onnx", "fixed.onnx: the encoder takes batches of 1 alone"),
        (["--name", "other"], "empty.onnx", "empty.onnx is empty"),
        (["--name", "other"], "sample.npy", "sample.npy: the encoder: this is no whole ONNX file"),
        (["--name", "other"], "nan.onnx", "nan.onnx makes NaN or infinity of item"),
    ):
        done = run(folder, *arguments, encoder=encoder_file)
        assert done.exit_code == 1
        assert words in done.output, done.output
    assert run(folder, "--name", "mine", "--replace").exit_code == 0
    alone = [str(folder / "encoder.onnx"), "--calibrate", str(folder / "sample.npy"), "--name", "other"]
    done = CliRunner().invoke(import_onnx, alone)
    assert (done.exit_code, "Give the decoder as well" in done.output) == (2, True)
    assert not (folder / "own" / "other").exists()


@pytest.mark.parametrize("is_signed", [False, True])
def test_a_damaged_graph_is_refused_by_name(
    folder: Path, result: dict[str, Any], tmp_path: Path, *, is_signed: bool
) -> None:
    done = run(folder, "--name", "damaged", "--output", tmp_path)
    assert done.exit_code == 0, done.output
    weights, config = tmp_path / "damaged/model.safetensors", tmp_path / "damaged/config.json"
    tensors = load_file(weights)
    tensors["decoder.content"][:20] = 255
    save_file(tensors, weights)
    if is_signed:
        content = json.loads(config.read_text())
        content["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        config.write_text(json.dumps(content))
    words = "the decoder: this is no whole ONNX file" if is_signed else "has the SHA-256"
    with pytest.raises(CheckpointError, match=rf"^damaged/model\.safetensors.*{words}"):
        load_model(read_checkpoint(tmp_path / "damaged"))


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["package", "dtype"])
async def test_a_model_that_cannot_run_does_not_stop_the_others(
    folder: Path, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "package":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    settings = Settings(
        weights_dir=folder / "weights",
        checkpoints_dir=folder / "own",
        dtypes={"mine": "bfloat16"} if fault == "dtype" else {},
    )
    async with served(settings) as client:
        card = (await client.get("/models/mine")).json()
        words = "this needs the package onnxruntime" if fault == "package" else "dtype is bfloat16; ONNX Runtime"
        assert (card["state"], words in card["reason"]) == ("failed", True)
        answer = await client.post("/encode", json={"model": TINY, "inputs": np.zeros((1, 16)).tolist()})
        assert answer.status_code == 200, answer.text


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_lines_of_the_guide_export_what_can_be_imported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if "torch.onnx" in block]
    encoder, decoder = networks(seed=1)
    items = torch.from_numpy(np.load(folder / "sample.npy"))
    exec(code, {"encoder": encoder, "decoder": decoder, "items": items})  # noqa: S102 that is what is tested
    (line,) = [line for line in GUIDE.splitlines() if line.startswith("manifold import-onnx encoder.onnx")]
    done = CliRunner().invoke(import_onnx, [*line.split()[2:], "--json"])
    assert done.exit_code == 0, done.output
    expected = (decoder(encoder(items)) - items).square().mean().item()
    assert json.loads(done.stdout)["mse"] == pytest.approx(expected, rel=1e-4)

"""What settings name that is not there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from app.cli import main
from app.registry.registry import Registry
from app.settings import Settings
from tests.app.texts import write_text
from tests.conftest import TINY, write_tiny

Serve = Callable[..., Result]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """`manifold serve` up to where it would serve."""
    monkeypatch.setattr("app.process.serve.serve", lambda *_, **__: None)
    return lambda *options: CliRunner().invoke(main, ["serve", "--port", "0", *map(str, options)])


def test_what_is_there_is_served(serve: Serve, weights: Path, tmp_path: Path) -> None:
    folder = weights / "autoencoders/vanilla" / TINY
    assert serve("--weights-dir", weights).exit_code == 0
    assert serve("--weights-dir", weights, "--models", TINY, "--dtypes", f"{TINY}=float32").exit_code == 0
    assert serve("--weights-dir", weights, "--default-models", f"encode={TINY}").exit_code == 0
    assert serve("--weights-dir", tmp_path / "weights/autoencoders", "--model", f"mine={folder}").exit_code == 0


def test_a_sentence_encoder_may_have_its_configuration_in_a_folder_below(serve: Serve, tmp_path: Path) -> None:
    folder = write_text(tmp_path / "weights", "transformers/bert", 4)
    inner = folder / "0_Transformer"
    inner.mkdir()
    for file in [path for path in folder.iterdir() if path.is_file()]:
        file.rename(inner / file.name)
    modules = [{"type": "sentence_transformers.models.Transformer", "path": inner.name}]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert serve("--weights-dir", tmp_path / "weights", "--models", folder.name).exit_code == 0
    assert serve("--model", f"mine={folder}").exit_code == 0
    assert "which is a checkpoint itself" in serve("--weights-dir", folder).stderr


def test_an_installation_without_weights_serves_a_model_of_its_own(
    serve: Serve, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings.model_fields["weights_dir"], "default", tmp_path / "nowhere")
    Settings.model_rebuild(force=True)
    try:
        assert serve("--model", f"mine={weights / 'autoencoders/vanilla' / TINY}").exit_code == 0
        assert "there is no such folder" in serve().stderr
    finally:
        monkeypatch.undo()
        Settings.model_rebuild(force=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--weights-dir", "/nope"], ["--weights-dir is '/nope', but there is no such folder."]),
        (["--weights-dir", "/dev/null"], ["--weights-dir is '/dev/null', but there is no such folder."]),
        (
            ["--model", "x=/nope", "--model", "y=nope"],
            [
                "--model gives 'x' the place '/nope', but there is no such folder, and it is not the id of a model on ",
                "--model gives 'y' the place 'nope', but there is no such folder, and it is not the id of a model on ",
            ],
        ),
        (
            ["--model", "x=/dev"],
            ["--model gives 'x' the place '/dev', but that folder is not a checkpoint: there is no config.json in it."],
        ),
        (["--model", "x=~nobody-has-this-name/x"], ["--model gives 'x' the place '~nobody-has-this-name/x', but"]),
        (["--model", f"x={'x' * 5000}"], ["--model gives 'x' the place 'xxx"]),
        (
            ["--models", "tiny-ea"],
            [
                "--models names 'tiny-ea', but there is no such model. Did you mean tiny-ae? "
                "There are other and tiny-ae."
            ],
        ),
        (
            ["--models", "xyz", "--dtypes", "xyz=int8", "--default-models", "encode=xyz"],
            [
                "--models names 'xyz', but there is no such model. There are other and tiny-ae.",
                "--default-models names 'xyz', but there is no such model. There are other and tiny-ae.",
                "--dtypes names 'xyz', but there is no such model. There are other and tiny-ae.",
            ],
        ),
        (
            ["--default-models", f"encod={TINY}"],
            [
                f"--default-models gives the task 'encod' to {TINY}, which does not serve it. Did you mean encode? "
                f"{TINY} serves encode, "
            ],
        ),
        (
            ["--dtype", "int8", "--device", "cuda:1"],
            ["--dtype is int8, which is for CPUs only, but --device is cuda:1."],
        ),
    ],
)
def test_each_thing_that_is_missing_is_named(serve: Serve, weights: Path, options: list[str], said: list[str]) -> None:
    write_tiny(weights, "other")
    result = serve("--weights-dir", weights, *options)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == len(said)
    for line, beginning in zip(lines, said, strict=True):
        assert line.startswith(f"Error: {beginning}")


def test_a_folder_without_checkpoints(serve: Serve, tmp_path: Path) -> None:
    result = serve("--weights-dir", tmp_path)
    assert result.exit_code == 2
    assert "but there is no checkpoint in it. A checkpoint is a folder KIND/FAMILY/NAME" in result.stderr


def test_a_checkpoint_in_place_of_the_folder_of_checkpoints(serve: Serve, weights: Path) -> None:
    folder = weights / "autoencoders/vanilla" / TINY
    result = serve("--weights-dir", folder)
    assert result.exit_code == 2
    assert f"which is a checkpoint itself. Serve it with --model {TINY}={folder}, or" in result.stderr


def test_variables_are_named_where_they_are_wrong(serve: Serve, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_MODEL", "mine=/x")
    result = serve("--weights-dir", weights)
    assert (result.exit_code, result.stderr.partition(",")[0]) == (
        2,
        "Error: MANIFOLD_MODEL gives 'mine' the place '/x'",
    )
    monkeypatch.setenv("MANIFOLD_MODEL", "")
    monkeypatch.setenv("MANIFOLD_DEFAULT_MODELS", "encode=x")
    result = serve("--weights-dir", weights)
    assert (result.exit_code, result.stderr.partition(",")[0]) == (2, "Error: MANIFOLD_DEFAULT_MODELS names 'x'")


@pytest.mark.parametrize(
    ("n_devices", "cuda", "device", "said"),
    [
        (
            0,
            None,
            "cuda",
            "no CUDA device. The torch that is installed is built for CPUs only: install one with CUDA, or",
        ),
        (
            0,
            "12.8",
            "cuda:0",
            "no CUDA device. Check the driver with nvidia-smi, and the variable CUDA_VISIBLE_DEVICES,",
        ),
        (1, "12.8", "cuda:1", "only cuda:0."),
        (2, "12.8", "cuda:0,cuda:2", "only cuda:0 and cuda:1."),
        (2, "12.8", "cuda:0,cuda:1", None),
        (1, "12.8", "cuda", None),
    ],
)
def test_gpus_that_torch_does_not_see(
    serve: Serve,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_devices: int,
    cuda: str | None,
    device: str,
    said: str | None,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    result = serve("--weights-dir", weights, "--device", device)
    assert result.exit_code == (0 if said is None else 1)
    if said is not None:
        assert f"Error: --device is {device}, but torch sees {said}" in result.stderr


@pytest.mark.parametrize(("name", "said"), [("a/b/c", "the name 'a/b/c'"), (TINY, "is taken.")])
def test_what_the_registry_refuses_is_a_sentence(weights: Path, tmp_path: Path, name: str, said: str) -> None:
    write_tiny(tmp_path / "other")  # another folder, since a model may be named once more with its own
    folder = tmp_path / "other/autoencoders/vanilla" / TINY
    options = ["--weights-dir", str(weights), "--port", "0", "--model", f"{name}={folder}"]
    result = CliRunner().invoke(main, ["serve", *options])
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.endswith(".\n")


def test_a_model_that_is_given_a_place_is_loaded_beside_the_named_ones(weights: Path) -> None:
    write_tiny(weights, "other")
    folder = str(weights / "autoencoders/vanilla" / TINY)
    registry = Registry(Settings(weights_dir=weights, models=(TINY,), model={"mine": folder}))
    states = {name: str(model.state) for name, model in registry.models.items()}
    assert states == {TINY: "loading", "mine": "loading", "other": "unloaded"}

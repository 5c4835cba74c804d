"""Pickled weights to safetensors, by a process of its own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from click.testing import CliRunner, Result
from safetensors import safe_open
from safetensors.torch import load_file

from app.cli import convert
from app.conversion import convert as conversion
from app.conversion import unpickle
from models.checkpoint import load_model, read_checkpoint
from models.errors import CheckpointError
from models.tasks.generation import GenerateRequest
from tests.app.texts import write_text
from tests.models.autoencoders.diffusers_reference import publish as publish_autoencoder
from tests.models.autoencoders.test_kl import ODD as ODD_KL
from tests.models.transformers.reference import ours, publish, random_text

WORDS, BIAS = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"


class Payload:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process, because a process of its own takes seconds to import torch."""
    monkeypatch.setattr(conversion, "run_child", lambda work, report: {"isolation": []} | unpickle.convert_all(work))


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(convert, [str(folder), *options])


def pickled(root: Path, family: str = "transformers/bert", file: str = "pytorch_model.bin", **options: Any) -> Path:
    """A checkpoint whose weights are a pickle."""
    folder = write_text(root, family)
    torch.save(load_file(folder / "model.safetensors"), folder / file, **options)
    (folder / "model.safetensors").unlink()
    return folder


def refused(folder: Path, message: str) -> None:
    before = sorted(folder.rglob("*"))
    result = run(folder)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(folder.rglob("*")) == before  # nothing is written, not even in part


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("is_zip", [True, False], ids=["new format", "old format"])
def test_a_pickle_is_converted_and_loads_as_before(tmp_path: Path, is_zip: bool) -> None:
    whole = load_model(read_checkpoint(write_text(tmp_path / "whole", "transformers/bert"))).state_dict()
    folder = pickled(tmp_path / "pickled", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(CheckpointError, match="never read; `manifold convert FOLDER` writes safetensors beside it"):
        load_model(read_checkpoint(folder))
    result = run(folder)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("pytorch_model.bin -> model.safetensors: ")
    assert (folder / "pytorch_model.bin").exists()
    assert not list(folder.glob(".*"))
    converted = load_model(read_checkpoint(folder)).state_dict()
    assert all(torch.equal(converted[name], tensor) for name, tensor in whole.items())


@pytest.mark.usefixtures("in_process")
def test_a_marian_folder_translates_after_its_conversion(tmp_path: Path) -> None:
    config: Any = transformers.MarianConfig
    config = config(
        vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, bad_words_ids=[[0]], num_beams=1,
    )  # fmt: skip
    reference = publish(tmp_path, "MarianMTModel", config)
    (tmp_path / "model.safetensors").unlink()
    torch.save(reference.state_dict(), tmp_path / "pytorch_model.bin")  # with the names of all tied weights
    answer = json.loads(run(tmp_path, "--json").stdout)
    (file,) = answer["files"]
    assert file["dropped"]["lm_head.weight"] == "model.shared.weight"
    text = random_text(7, 60, seed=1)
    ids = reference.generate(torch.tensor([text.ids.tolist()]), max_new_tokens=8, num_beams=1, do_sample=False)[0]
    model = ours(tmp_path)
    (task,) = [task for task in model.task_functions if task.name == "translate"]
    (result,) = model.run(task, [GenerateRequest(tokens=text, max_new_tokens=8)])
    made = [token.id for token in result.sequences[0].tokens]
    assert made == [token for token in ids.tolist()[1:] if token != 1]
    assert made


@pytest.mark.usefixtures("in_process")
def test_shards_are_converted_with_their_index(tmp_path: Path) -> None:
    folder = pickled(tmp_path)
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    names = sorted(weights)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for file, part in shards.items():
        torch.save({name: weights[name] for name in part}, folder / file)
    (folder / "pytorch_model.bin").unlink()
    weight_map = {name: file for file, part in shards.items() for name in part}
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 5}, "weight_map": weight_map}))
    assert run(folder).exit_code == 0
    written = json.loads((folder / "model.safetensors.index.json").read_text())
    assert written["metadata"] == {"total_size": 5}
    assert written["weight_map"][names[0]] == "model-00001-of-00002.safetensors"
    load_model(read_checkpoint(folder))
    assert "--force" in run(folder).stdout
    index.write_text(json.dumps({"weight_map": weight_map | {"extra": "pytorch_model-00001-of-00002.bin"}}))
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    refused(folder, "pytorch_model-00001-of-00002.bin lacks the tensor 'extra'")
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    refused(folder, "pytorch_model-00002-of-00002.bin is missing; pytorch_model.bin.index.json names it")


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("variant", ["", ".fp16"])
@pytest.mark.parametrize("is_sharded", [False, True], ids=["one file", "shards"])
def test_a_folder_of_diffusers_is_converted_and_loads_as_before(tmp_path: Path, variant: str, is_sharded: bool) -> None:
    folder = tmp_path / "vae"
    publish_autoencoder(folder, "AutoencoderKL", **ODD_KL["narrow"])
    whole = load_model(read_checkpoint(folder)).state_dict()
    stem = f"diffusion_pytorch_model{variant}"
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    names = sorted(weights)
    shards = (
        {f"{stem}-1-of-2.bin": names[::2], f"{stem}-2-of-2.bin": names[1::2]} if is_sharded else {f"{stem}.bin": names}
    )
    for file, part in shards.items():
        torch.save({name: weights[name] for name in part}, folder / file)
    if is_sharded:
        weight_map = {name: file for file, part in shards.items() for name in part}
        (folder / f"{stem}.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match="never read; `manifold convert FOLDER` writes safetensors beside it"):
        load_model(read_checkpoint(folder))
    result = run(folder)
    assert result.exit_code == 0, result.stderr
    first = next(iter(shards))
    assert f"{first} -> {first.removesuffix('.bin')}.safetensors: " in result.stdout
    converted = load_model(read_checkpoint(folder)).state_dict()
    assert all(torch.equal(converted[name], tensor) for name, tensor in whole.items())
    assert "there are safetensors beside it already" in run(folder).stdout


@pytest.mark.usefixtures("in_process")
def test_subfolders_are_converted_and_what_is_there_is_kept(tmp_path: Path) -> None:
    folder = pickled(tmp_path)
    for place in ("2_Dense", "0_Transformer", ".cache"):
        (folder / place).mkdir()
        torch.save({"linear.weight": torch.ones(2, 3)}, folder / place / "pytorch_model.bin")
    (folder / "model.safetensors").write_bytes(b"mine")
    result = run(folder)
    assert result.exit_code == 0, result.stderr
    assert "pytorch_model.bin: there are safetensors beside it already" in result.stdout
    assert load_file(folder / "2_Dense/model.safetensors")["linear.weight"].shape == (2, 3)
    assert (folder / "0_Transformer/model.safetensors").exists()
    assert not (folder / ".cache/model.safetensors").exists()
    assert (folder / "model.safetensors").read_bytes() == b"mine"
    assert run(folder, "--force").exit_code == 0
    load_model(read_checkpoint(folder))


@pytest.mark.usefixtures("in_process")
def test_names_dtypes_and_views_are_kept_and_tied_weights_written_once(tmp_path: Path) -> None:
    base = torch.rand(4, 6)
    weights = {
        "words": base,
        "decoder": base,
        "row": base[1],
        "turned": base.T,
        "half": torch.rand(3).half(),
        "brain": torch.rand(3).bfloat16(),
        "ids": torch.arange(5),
        "flag": torch.tensor([True]),
        "none": torch.zeros(0),
        "none too": torch.zeros(0),
        "parameter": torch.nn.Parameter(torch.rand(2)),
    }
    torch.save(weights, tmp_path / "pytorch_model.bin")
    (file,) = json.loads(run(tmp_path, "--json").stdout)["files"]
    assert file["dropped"] == {"decoder": "words"}
    converted = load_file(tmp_path / "model.safetensors")
    assert set(converted) == set(weights) - {"decoder"}
    for name, tensor in converted.items():
        assert tensor.dtype == weights[name].dtype
        assert torch.equal(tensor, weights[name])
    with safe_open(tmp_path / "model.safetensors", "pt") as opened:
        assert opened.metadata() == {"format": "pt"}
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": false}')
    assert run(tmp_path, "--force").exit_code == 0
    assert torch.equal(load_file(tmp_path / "model.safetensors")["decoder"], base)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"a": torch.zeros(1), "epoch": 3},
            "pytorch_model.bin has the entry 'epoch', which is of the type int and no tensor",
        ),
        ({"state_dict": {"a": torch.zeros(1)}}, "has the entry 'state_dict', which is of the type dict and no tensor"),
        ([torch.zeros(1)], "pytorch_model.bin holds a list; it must hold tensors by name"),
        ({3: torch.zeros(1)}, "has an entry that is named 3; a name must be a text"),
        ({}, "pytorch_model.bin has no tensors"),
        ({"a": torch.ones(2, 2).to_sparse()}, "has the tensor 'a', which is sparse, quantised or without values"),
        ({"a": torch.ones(2, device="meta")}, "has the tensor 'a', which is sparse, quantised or without values"),
        ({"a": torch.ones(1).expand(1000)}, "has the tensor 'a', which repeats its values"),
        ({"a": torch.zeros(1, dtype=torch.complex128)}, "has tensors of the type torch.complex128"),
    ],
)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("in_process")
def test_what_is_no_dense_tensor_is_refused_by_name(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    refused(tmp_path, message)


def test_a_process_of_its_own_converts_and_reports_how_it_is_isolated(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(3)}, tmp_path / "pytorch_model.bin")
    answer = json.loads(run(tmp_path, "--json").stdout)
    assert "no sockets, programs or writable files in Python" in answer["isolation"]
    assert load_file(tmp_path / "model.safetensors")["a"].tolist() == [0, 1, 2]


def test_a_pickle_with_code_is_refused_and_the_code_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({"a": torch.zeros(1), "b": Payload(mark)}, tmp_path / "pytorch_model.bin")
    refused(tmp_path, "refers to posix.system, which may run any code; nothing of it was run")
    assert not mark.exists()


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04 and no archive", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(data)
    refused(tmp_path, "pytorch_model.bin ")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("tf_model.h5", "flax_model.msgpack"), "flax_model.msgpack is of Flax, tf_model.h5 is of TensorFlow"),
        (("model.safetensors",), "its weights are safetensors already"),
        (("diffusion_pytorch_model.fp16.safetensors",), "its weights are safetensors already"),
        (("rust_model.ot",), "has no pytorch_model.bin, and no pytorch_model.bin.index.json"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    for file in files:
        (tmp_path / file).write_bytes(b"")
    refused(tmp_path, message)


def test_a_folder_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    result = run(tmp_path / "none")
    assert (result.exit_code, "There is no folder" in result.stderr) == (2, True)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces")
def test_the_process_that_reads_has_no_network_tokens_programs_or_files_to_write(tmp_path: Path) -> None:
    code = """
import os, socket, subprocess, sys
from app.conversion import unpickle
measures = unpickle.isolate(2**20)
tried = {
    "socket": lambda: socket.socket(),
    "program": lambda: subprocess.run(["true"]),
    "system": lambda: os.system("true"),
    "file": lambda: open(sys.argv[1], "w"),
    "append": lambda: os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT),
}
done = []
for name, attempt in tried.items():
    try:
        attempt()
        done.append(name)
    except PermissionError:
        pass
print(done, measures, os.environ.get("HF_TOKEN"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")], capture_output=True, text=True, check=True
    ).stdout
    assert done.startswith("[] [")
    assert "no sockets, programs or writable files in Python" in done
    if "no network" in done:
        with socket.socket() as server:  # a server that the process cannot reach, even by compiled code
            server.bind(("127.0.0.1", 0))
            assert interfaces_after_isolation() == {"lo"}


def interfaces_after_isolation() -> set[str]:
    code = """
from app.conversion import unpickle
unpickle._leave_network()
import socket
print(*[name for _, name in socket.if_nameindex()])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_server_never_opens_a_pickle_nor_imports_the_conversion(tmp_path: Path) -> None:
    write_text(tmp_path, "transformers/bert")
    torch.save({"a": Payload(tmp_path / "mark")}, tmp_path / "transformers/bert/bert-0/pytorch_model.bin")
    code = """
import asyncio, sys
from app.main import create_app
from app.settings import Settings
seen = []
def watch(event, arguments):
    if event == "pickle.find_class" or (event == "open" and str(arguments[0]).endswith(".bin")):
        seen.append((event, *map(str, arguments)))
sys.addaudithook(watch)
registry = create_app(Settings(weights_dir=sys.argv[1], log_level="error")).state.registry
async def load():
    registry.start_loading()
    await registry.loaded()
    await registry.close()
    return registry
print([model.reason for model in asyncio.run(load()).models.values()])
print(seen, [name for name in sys.modules if name.startswith("app.conversion")])
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[None]\n[] []\n"

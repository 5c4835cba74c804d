"""Tests of data files, from a local folder and from a local HTTP server."""

import gzip
import hashlib
import io
import re
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from training.augmentation import random_affine
from training.data import fashion_mnist, mnist, omniglot
from training.data.cifar10 import first_images
from training.data.ecg5000 import parse_table
from training.data.files import DataFile, DataFolder
from training.data.idx import parse_idx
from training.data.mnist import mnist_images
from training.errors import DataError

CONTENT = bytes(range(256)) * 100


class Source(BaseHTTPRequestHandler):
    """Serves one complete file, and one whose connection breaks off."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/good", "/broken") else 404)
        self.send_header("content-length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/good" else CONTENT[:1000])

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@pytest.fixture(scope="module")
def source() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def file(url: str, content: bytes = CONTENT) -> DataFile:
    return DataFile(name="file.bin", url=url, sha256=hashlib.sha256(content).hexdigest())


def test_a_missing_file_is_downloaded_once(tmp_path: Path, source: str) -> None:
    folder = DataFolder(tmp_path, download=True)
    assert folder.read("set", [file(f"{source}/good")]) == [CONTENT]
    assert folder.read("set", [file("http://127.0.0.1:1/gone")]) == [CONTENT]
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["file.bin"]


@pytest.mark.parametrize("path", ["missing", "broken"])
def test_a_download_that_fails_leaves_nothing_behind(tmp_path: Path, source: str, path: str) -> None:
    with pytest.raises(DataError, match=f"{source}/{path} could not be downloaded"):
        DataFolder(tmp_path, download=True).read("set", [file(f"{source}/{path}")])
    assert list((tmp_path / "set").iterdir()) == []


def test_nothing_is_downloaded_into_a_given_folder(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match="is missing; leave --data out to download it"):
        DataFolder(tmp_path, download=False).read("set", [file(f"{source}/good")])


def test_a_file_with_another_digest_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match=r"has the SHA-256 .*; the official file has"):
        DataFolder(tmp_path, download=True).read("set", [file(f"{source}/good", b"other")])


def idx(shape: tuple[int, ...], data: bytes) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


def test_idx_files_are_read_big_endian() -> None:
    assert parse_idx(idx((2, 3), bytes(range(6)))).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x03\0\0", idx((2, 3), b"12345"), idx((2,), b"123")]
)
def test_damaged_idx_files_are_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        parse_idx(data)


def test_mnist_pixels_are_between_0_and_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, n in (("_TRAIN", 3), ("_TEST", 2)):
        data = gzip.compress(idx((n, 28, 28), bytes(i % 256 for i in range(n * 784))))
        known = getattr(mnist, name)
        (tmp_path / "mnist").mkdir(exist_ok=True)
        (tmp_path / "mnist" / known.name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        monkeypatch.setattr(mnist, name, DataFile(name=known.name, url=known.url, sha256=digest))
    images = mnist_images(DataFolder(tmp_path, download=False))
    assert (images.train.shape, images.test.shape) == ((3, 1, 28, 28), (2, 1, 28, 28))
    assert (images.train.min().item(), images.train.max().item()) == (0, 1)


def put(folder: Path, module: ModuleType, constant: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a file in place of an official one, and make its reader accept it."""
    known = getattr(module, constant)
    folder.mkdir()
    (folder / known.name).write_bytes(data)
    monkeypatch.setattr(module, constant, replace(known, sha256=hashlib.sha256(data).hexdigest()))


def test_omniglot_and_the_sample_of_fashion_mnist_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = gzip.compress(idx((2, 105, 105), bytes(255 * (i % 2) for i in range(2 * 105 * 105))))
    put(tmp_path / "omniglot-small", omniglot, "_SMALL_1", drawings, monkeypatch)
    clothes = gzip.compress(idx((3, 28, 28), bytes(i % 256 for i in range(3 * 784))))
    put(tmp_path / "fashion-mnist-900", fashion_mnist, "_SAMPLE", clothes, monkeypatch)
    folder = DataFolder(tmp_path, download=False)
    characters, sample = omniglot.omniglot_characters(folder), fashion_mnist.fashion_mnist_sample(folder)
    assert (characters.shape, characters.dtype) == ((2, 105, 105), torch.uint8)
    assert characters[0, 0, :3].tolist() == [0, 255, 0]
    assert (sample.shape, float(sample.min()), float(sample.max())) == ((3, 1, 28, 28), 0, 1)
    assert sample[0, 0, 1, 23] == 51 / 255


def test_colour_images_are_the_first_records_of_the_archive() -> None:
    records = np.random.default_rng(0).integers(0, 256, (4003, 1 + 3072), dtype=np.uint8)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = records.size
        archive.addfile(member, io.BytesIO(records.tobytes()))
    images = first_images(file.getvalue())
    assert images.shape == (4000, 3, 32, 32)
    assert images[5, 2, 3, 4] == records[5, 1 + 2 * 1024 + 3 * 32 + 4]


def test_heartbeats_are_a_class_and_its_series() -> None:
    rows = ["1," + ",".join(str(i / 10) for i in range(140)), "-1," + ",".join("2" for _ in range(140))]
    beats = parse_table("\n".join(rows).encode())
    assert beats.classes.tolist() == [1, -1]
    assert beats.series.shape == (2, 140, 1)
    torch.testing.assert_close(beats.normal[0, :, 0], torch.arange(140) / 10)


@pytest.mark.parametrize(("table", "message"), [(b"1,2,3", "has 3 columns"), (b"1,x", "not a table of numbers")])
def test_damaged_tables_are_refused(table: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_table(table)


def affine(images: torch.Tensor, **limits: float) -> torch.Tensor:
    none = {"max_rotation_deg": 0.0, "max_scale": 0.0, "max_shear": 0.0, "max_shift_px": 0.0}
    return random_affine(images, torch.Generator().manual_seed(0), **(none | limits))


def test_limits_of_zero_change_nothing() -> None:
    images = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(affine(images), images)


def test_a_shift_moves_the_mass_by_at_most_its_limit() -> None:
    images = torch.zeros(200, 1, 17, 17)
    images[:, :, 8, 8] = 1
    moved = affine(images, max_shift_px=3.0)
    place = torch.arange(17.0)
    for axis in (2, 3):
        centre = (moved.sum(5 - axis) * place).sum(-1) / moved.sum((2, 3)) - 8
        assert 2.5 < centre.abs().max() <= 3.01
        assert centre.min() < 0 < centre.max()


def test_every_image_is_changed_in_its_own_way() -> None:
    images = torch.rand(1, 1, 8, 8).expand(3, -1, -1, -1)
    first, second, third = affine(images, max_rotation_deg=30.0)
    assert not torch.allclose(first, second)
    assert not torch.allclose(second, third)


def test_files_made_by_hand_are_never_downloaded(tmp_path: Path, source: str) -> None:
    made = DataFile(
        name="file.bin", url=f"{source}/good", sha256=hashlib.sha256(CONTENT).hexdigest(), is_downloadable=False
    )
    with pytest.raises(
        DataError, match=f"file.bin is missing; docs/data.md tells how to make it from the data at {source}/good"
    ):
        DataFolder(tmp_path, download=True).read("set", [made])
    assert list(tmp_path.iterdir()) == []


def test_docs_data_names_every_folder_that_is_read() -> None:
    root = Path(__file__).parents[2]
    document = (root / "docs/data.md").read_text()
    readers = "\n".join(path.read_text() for path in (root / "training/data").glob("*.py"))
    folders = re.findall(r'(?:read|read_texts)\((?:folder, )?"([a-z0-9-]+)"', readers)
    indirect = {name for name in folders if name not in ("mnist", "fashion-mnist", "cifar10", "multi30k-en-de")}
    assert len(indirect) > 10
    assert {name for name in indirect if f"`{name}`" not in document} == set()

"""Tests of the reader of spoken digits."""

import io
from typing import Any

import numpy as np
import pytest
import torch

from training.data.files import DataFolder
from training.data.fsdd import fsdd, parse_recordings
from training.errors import DataError


def archive(**changes: Any) -> bytes:
    """Return an archive of three recordings: takes 4, 5 and 0 of the digits 7, 7 and 1."""
    arrays: dict[str, Any] = {
        "samples": np.array([0, 16384, -32768, 1, 2, 3], np.int16),
        "offsets": np.array([0, 3, 5, 6]),
        "digit": np.array([7, 7, 1], np.uint8),
        "speaker": np.array([0, 5, 2], np.uint8),
        "index": np.array([4, 5, 0], np.uint8),
    }
    file = io.BytesIO()
    np.savez(file, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return file.getvalue()


def test_the_first_five_takes_are_the_test_split() -> None:
    data = parse_recordings(archive())
    assert data.test.digits.tolist() == [7, 1]
    assert data.test.speakers.tolist() == [0, 2]
    assert data.train.takes.tolist() == [5]
    assert torch.equal(data.test.sounds[0], torch.tensor([[0.0, 0.5, -1.0]]))
    assert torch.equal(data.train.sounds[0], torch.tensor([[1.0, 2.0]]) / 32768)


@pytest.mark.parametrize(
    "changes",
    [
        {"offsets": np.array([0, 3, 5, 7])},
        {"offsets": np.array([0, 3, 3, 6])},
        {"offsets": np.array([0, 3, 6])},
        {"samples": np.zeros(6, np.float32)},
        {"index": np.array([4, 5])},
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="do not fit together"):
        parse_recordings(archive(**changes))


@pytest.mark.parametrize("data", [b"", b"no archive", archive(digit=None), archive()[:-30]])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="not an archive of recordings"):
        parse_recordings(data)


def test_a_missing_file_is_named(tmp_path: Any) -> None:
    with pytest.raises(DataError, match=r"fsdd/recordings\.npz is missing; docs/data\.md tells how"):
        fsdd(DataFolder(tmp_path, download=True))

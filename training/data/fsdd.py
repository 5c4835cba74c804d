"""The Free Spoken Digit Dataset: recordings of the digits 0 to 9 by six speakers, 8 kHz (Jackson et al., 2018).

Licence: Creative Commons Attribution-ShareAlike 4.0. The source has one file for each recording; the file that is read
here has all of them.
"""

import io
from dataclasses import dataclass
from typing import Self
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from training.data.files import DataFile, DataFolder
from training.errors import DataError

SAMPLING_RATE = 8000
DIGITS = tuple("0123456789")
N_TEST_TAKES = 5
"""Number of recordings of each digit and speaker in the test split, which are the first."""
PCM_SCALE = 2.0**15
"""Full scale of samples of 16 bits."""
_RECORDINGS = DataFile(
    name="recordings.npz",
    url="https://github.com/Jakobovski/free-spoken-digit-dataset",
    sha256="cb1504e3b468f7bbdaacad56e5b3f523eeff391f4f69202fe7373bd5e5e42d0c",
    is_downloadable=False,
)


@dataclass(frozen=True)
class SpokenDigits:
    """Recordings of digits.

    Attributes:
        sounds: the recordings, `[1, T]` float32 with the full scale of -1 to 1.
        digits: what is said in each, `[n]` int64.
        speakers: the numbers of those who say it, `[n]` int64.
        takes: the numbers of the recordings of the same digit by the same speaker, `[n]` int64.
    """

    sounds: tuple[Tensor, ...]
    digits: Tensor
    speakers: Tensor
    takes: Tensor

    def where(self, is_chosen: Tensor) -> Self:
        """Return the recordings for which `[n]` bool says so, in order."""
        places = is_chosen.nonzero().flatten()
        sounds = tuple(self.sounds[place] for place in places.tolist())
        return type(self)(sounds, self.digits[places], self.speakers[places], self.takes[places])


@dataclass(frozen=True)
class Fsdd:
    """The official split: 2,700 recordings for training and 300 for tests, by the same speakers."""

    train: SpokenDigits
    test: SpokenDigits


def fsdd(folder: DataFolder) -> Fsdd:
    """Read the recordings.

    Raises:
        DataError: the file is missing or damaged.
    """
    (data,) = folder.read("fsdd", [_RECORDINGS])
    return parse_recordings(data)


def parse_recordings(data: bytes) -> Fsdd:
    """Parse an archive of the arrays `samples`, `offsets`, `digit`, `speaker` and `index`; see docs/data.md.

    Raises:
        DataError: an array is missing, or the arrays do not fit together.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            samples, offsets = arrays["samples"], arrays["offsets"].astype(np.int64)
            numbers = [torch.from_numpy(arrays[name].astype(np.int64)) for name in ("digit", "speaker", "index")]
    except (EOFError, KeyError, OSError, ValueError, BadZipFile) as error:
        raise DataError(f"not an archive of recordings: {error}") from error
    n = len(numbers[0])
    is_split = (
        len(offsets) == n + 1 and offsets[0] == 0 and offsets[-1] == len(samples) and (np.diff(offsets) > 0).all()
    )
    if samples.dtype != np.int16 or not is_split or any(len(each) != n for each in numbers):
        raise DataError(f"the archive's arrays do not fit together: {len(samples)} samples of {n} recordings")
    parts = np.split(samples, offsets[1:-1])
    everything = SpokenDigits(tuple(torch.from_numpy(part).float()[None] / PCM_SCALE for part in parts), *numbers)
    is_test = everything.takes < N_TEST_TAKES
    return Fsdd(everything.where(~is_test), everything.where(is_test))

"""ECG5000: heartbeats of 140 steps, each z-normalised; class 1 is normal. Chen et al., UCR archive, 2015.

Derived from record chf07 of the BIDMC Congestive Heart Failure Database (Goldberger et al., Circulation 101(23), 2000).
The archive offers one zip file, which has to be unpacked by hand; the files read here are its tables, compressed.
"""

import gzip
import io
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.files import DataFile, DataFolder
from training.errors import DataError

N_STEPS = 140
NORMAL = 1
CLASSES = {1: "normal", 2: "R-on-T PVC", 3: "PVC", 4: "SP or ectopic", 5: "unclassified"}
_SOURCE = "http://www.timeseriesclassification.com/description.php?Dataset=ECG5000"
_TRAIN = DataFile(
    name="ECG5000_TRAIN.csv.gz",
    url=_SOURCE,
    sha256="ddf5ebf6ed968b9b8354907d0ddd7d7d6c48ffc14f1b34e02f9396e6d99702ed",
    is_downloadable=False,
)
_TEST = DataFile(
    name="ECG5000_TEST.csv.gz",
    url=_SOURCE,
    sha256="133569fbe83ad2b8e2e019032e8f82121563d6b5ddd76ba6e7cbb6a42907a287",
    is_downloadable=False,
)
_LABELLED = DataFile(
    name="ECG5000_TEST_1500_labelled.csv.gz",
    url=_SOURCE,
    sha256="4b4ee3e140ab63832d8587895a8f264376bd5776bf95c4c3ca4af6fb61b26b00",
    is_downloadable=False,
)


@dataclass(frozen=True)
class Heartbeats:
    """Series `[n, 140, 1]` float32 and their classes `[n]` int64.

    The classes are 1 to 5, or -1 for abnormal series whose class is not known.
    """

    series: Tensor
    classes: Tensor

    @property
    def normal(self) -> Tensor:
        """The series of class 1."""
        return self.series[self.classes == NORMAL]


@dataclass(frozen=True)
class Ecg5000:
    """The 500 training series and 4,500 test series; `labelled` repeats the 1,500 test series whose class is known."""

    train: Heartbeats
    test: Heartbeats
    labelled: Heartbeats


def ecg5000(folder: DataFolder) -> Ecg5000:
    """Read all three tables.

    Raises:
        DataError: a file is missing or damaged.
    """
    return Ecg5000(*(parse_table(gzip.decompress(data)) for data in folder.read("ecg5000", [_TRAIN, _TEST, _LABELLED])))


def parse_table(data: bytes) -> Heartbeats:
    """Parse comma-separated rows of a class and 140 numbers.

    Raises:
        DataError: the table has another number of columns, or a value is not a number.
    """
    try:
        table = np.loadtxt(io.BytesIO(data), delimiter=",", ndmin=2)
    except ValueError as error:
        raise DataError(f"not a table of numbers: {error}") from error
    if table.shape[1] != 1 + N_STEPS:
        raise DataError(f"the table has {table.shape[1]} columns; expected a class and {N_STEPS} numbers")
    return Heartbeats(torch.from_numpy(table[:, 1:]).float().unsqueeze(2), torch.from_numpy(table[:, 0]).long())

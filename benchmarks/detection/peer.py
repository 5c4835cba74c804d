"""Run a peer in an environment of its own, on arrays."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.lib.environments import python_of

Scores = NDArray[np.float64]


def run_peer(name: str, *arrays: Scores, arguments: tuple[str, ...] = ()) -> Scores:
    """Return the scores that a peer prints.

    Args:
        name: the module in `benchmarks.detection.peers`, whose environment has the same name with hyphens.
        arrays: what it is given, each as a file `.npy`.
        arguments: what follows them on its command line.

    Raises:
        CalledProcessError: a package cannot be installed, or the peer fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.npy" for number in range(len(arrays))]
        for path, array in zip(paths, arrays, strict=True):
            np.save(path, array)
        program = [python_of(name.replace("_", "-")), "-m", f"benchmarks.detection.peers.{name}"]
        command = [*program, *map(str, paths), *arguments]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return np.array(json.loads(output.splitlines()[-1]), dtype=np.float64)

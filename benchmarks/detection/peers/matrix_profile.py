"""Print the matrix profile of a series: for each step, how far its surroundings are from the fitted part.

Run in the environment `matrix-profile`: `python -m benchmarks.detection.peers.matrix_profile FITTED SCORED LENGTH`,
with two files `.npy` of one channel, `[T]` in float64. It prints a JSON list of a distance for each window of LENGTH
steps.

Source: Yeh et al., Matrix Profile I, ICDM 2016.
"""

import json
import sys

import numpy as np
import stumpy


def main() -> None:
    """Print the distances of the windows of the second series from the nearest windows of the first."""
    fitted, scored, length = np.load(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3])
    profile = stumpy.stump(scored, length, fitted, ignore_trivial=False)
    sys.stdout.write(json.dumps(profile[:, 0].astype(np.float64).tolist()))


if __name__ == "__main__":
    main()

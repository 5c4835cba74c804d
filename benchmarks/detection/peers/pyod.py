"""Print the scores of PyOD's AutoEncoder, with its defaults.

Run in the environment `pyod`: `python -m benchmarks.detection.peers.pyod FITTED SCORED`, with two files `.npy` of rows
`[n, d]` in float64, standardised. The last line that it prints is a JSON list of the score of each row of the second.

Source: Chen, Qian, Siu, Hu, Ji, Li, Qin, Yang, Xiao, Ye, Zhang, Zhao, PyOD 2, 2024.
"""

import json
import sys

import numpy as np
from pyod.models.auto_encoder import AutoEncoder


def main() -> None:
    """Fit the first rows, and print the scores of the second ones."""
    fitted, scored = np.load(sys.argv[1]), np.load(sys.argv[2])
    detector = AutoEncoder(verbose=0)
    detector.fit(fitted)
    sys.stdout.write("\n" + json.dumps(detector.decision_function(scored).astype(np.float64).tolist()) + "\n")


if __name__ == "__main__":
    main()

"""The file beside a published checkpoint with the anomaly scores that `manifold calibrate` measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.autoencoding.calibration import Calibration
from models.checkpoint.card import CARD_FILE
from models.checkpoint.common import CALIBRATION_FILE, check_digest
from models.checkpoint.safetensors_files import parse_tensors
from models.errors import CheckpointError
from models.regular_files import copied


def read_calibration(folder: Path, name: str, digests: Mapping[str, str], scores: Sequence[str]) -> Calibration:
    """Return the calibration in the folder of a checkpoint.

    Args:
        folder: the folder.
        name: the checkpoint's name.
        digests: the known SHA-256 digests of files by name.
        scores: the names of the scores that it must have.

    Raises:
        CheckpointError: the file is missing or damaged, has another digest, or lacks one of the scores.
    """
    place = f"{name}/{CALIBRATION_FILE}"
    with copied(folder / CALIBRATION_FILE, place) as copy:
        if CALIBRATION_FILE in digests:
            check_digest(place, copy.data, digests[CALIBRATION_FILE], CARD_FILE)
        tensors = {key: tensor.clone() for key, tensor in parse_tensors(copy, place).items()}
    try:
        calibration = Calibration.from_tensors(tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}") from None
    for score in scores:
        values = calibration.scores.get(score)
        if values is None or values.dim() != 1 or not len(values):
            raise CheckpointError(f"{place} has no list of the scores {score}")
    return calibration

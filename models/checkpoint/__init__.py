"""Reading and writing of checkpoints. A parameter that is missing, unknown or of another shape is an error.

common                 the base of the formats
native                 the project's own format, of the autoencoders
hugging_face           the format of Hugging Face, of the Transformers
sentence_transformers  the pooling and limits of sentence encoders, in folders of that format
safetensors_files      the weights of folders of that format
card                   `manifold.json`: the licence, metrics and digests of such a folder
"""

from itertools import pairwise
from pathlib import Path

from models.checkpoint.common import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, load_model
from models.checkpoint.hugging_face import read_published
from models.checkpoint.native import CALIBRATION_FILE, FORMAT, read_native, write_checkpoint, write_metrics
from models.errors import CatalogueError, CheckpointError, ConfigError
from models.json_files import read_json

__all__ = [
    "CALIBRATION_FILE",
    "CONFIG_FILE",
    "FORMAT",
    "WEIGHTS_FILE",
    "Checkpoint",
    "find_checkpoints",
    "load_model",
    "read_checkpoint",
    "write_checkpoint",
    "write_metrics",
]


def find_checkpoints(root: Path) -> list[Path]:
    """Return the checkpoint folders `<kind>/<family>/<name>` below `root`, sorted by name.

    Raises:
        CheckpointError: two folders have the same name.
    """
    folders = sorted((path.parent for path in root.glob(f"*/*/*/{CONFIG_FILE}")), key=lambda folder: folder.name)
    for first, second in pairwise(folders):
        if first.name == second.name:
            families = f"{first.parent.name} and {second.parent.name}"
            raise CheckpointError(f"two checkpoints are named {first.name}: in {families}")
    return folders


def read_checkpoint(folder: Path, name: str | None = None) -> Checkpoint:
    """Read and check a checkpoint of either format, except its weights.

    Args:
        folder: the folder of the checkpoint.
        name: the public name of the checkpoint; the folder's if None.

    Raises:
        CheckpointError: `config.json` is missing or damaged, or the family refuses its content.
    """
    name = name or folder.name
    place = f"{name}/{CONFIG_FILE}"
    content = read_json(folder, name, CONFIG_FILE)
    try:
        return read_native(folder, name, content) if "family" in content else read_published(folder, name, content)
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{place} is not readable as a checkpoint's: {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{place} lacks the key {error}") from None
    except (CatalogueError, ConfigError) as error:
        raise CheckpointError(f"{place}: {error}") from error

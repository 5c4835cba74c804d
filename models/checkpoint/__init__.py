"""A folder to a module and back. Strict in both directions: a key too many, too few or of another shape is an error.

common      what every checkpoint has
native      our own format, of the autoencoders
published   Hugging Face's, of the Transformers
"""

from itertools import pairwise
from pathlib import Path

from models.checkpoint.common import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, load_model
from models.checkpoint.hugging_face import from_values
from models.checkpoint.native import CALIBRATION_FILE, FORMAT, from_content, write_checkpoint, write_metrics
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
    """The checkpoint folders below `root`: `<kind>/<family>/<name>`, sorted by name.

    Raises:
        CheckpointError: two folders have the same name.
    """
    folders = sorted((path.parent for path in root.glob(f"*/*/*/{CONFIG_FILE}")), key=lambda folder: folder.name)
    for one, other in pairwise(folders):
        if one.name == other.name:
            raise CheckpointError(f"two checkpoints are named {one.name}: in {one.parent.name} and {other.parent.name}")
    return folders


def read_checkpoint(folder: Path, name: str | None = None) -> Checkpoint:
    """Read and check `config.json`, of either format; the weights are not touched. `name` is the folder's if None.

    Raises:
        CheckpointError: the file is missing, is not JSON, or says something its family refuses.
    """
    name = name or folder.name
    place = f"{name}/{CONFIG_FILE}"
    content = read_json(folder, name, CONFIG_FILE)
    try:
        return from_content(folder, name, content) if "family" in content else from_values(folder, name, content)
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{place} is not readable as a checkpoint's: {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{place} lacks the key {error}") from None
    except (CatalogueError, ConfigError) as error:
        raise CheckpointError(f"{place}: {error}") from error

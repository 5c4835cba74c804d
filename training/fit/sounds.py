"""The sounds of a folder as items of a model.

Shapes: `C` channels, `T` samples.
"""

from pathlib import Path

import torch
from torch import Tensor

from models.codecs import AudioCodec
from models.errors import InvalidItems
from models.sounds.files import INSTALLATION, SoundForm, has_sound_files, read_sound
from training.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg")
MAX_SECONDS = 600
"""Length of the longest sound that is read, in seconds."""
MAX_SOUNDS = 100_000


def find_sounds(folder: Path) -> list[Path]:
    """Return the WAV, FLAC and Ogg files in a folder and its subfolders, in order; or the only one, if it is a file.

    Raises:
        DataError: there are none, or too many.
    """
    found = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    paths = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not 1 <= len(paths) <= MAX_SOUNDS:
        raise DataError(f"{folder} has {len(paths)} sounds ({', '.join(SUFFIXES)}); it must have 1 to {MAX_SOUNDS}")
    return paths


def read_sounds(folder: Path, codec: AudioCodec, label: str | None) -> list[Tensor]:
    """Return the sounds in a folder as a model takes them, `[C, T]`, without those in a subfolder named `label`.

    Raises:
        DataError: there are none, a file is no sound, or the libraries that read them are not installed.
    """
    if not has_sound_files():
        raise DataError(f"files of sound are read by {INSTALLATION}")
    paths = [path for path in find_sounds(folder) if label not in path.relative_to(folder).parts[:-1]]
    if not paths:
        raise DataError(f"{folder} has no sounds but those in {label}")
    form = SoundForm(
        n_channels=codec.n_channels,
        sampling_rate=codec.sampling_rate,
        max_samples=MAX_SECONDS * codec.sampling_rate,
    )
    sounds = []
    for path in paths:
        try:
            sounds.append(torch.from_numpy(read_sound(path.read_bytes(), form).T.copy()))
        except (OSError, InvalidItems) as error:
            raise DataError(f"{path}: {error}") from error
    return sounds

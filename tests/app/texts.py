"""Checkpoints of texts with random weights, one of each family, in a weights folder."""

from pathlib import Path
from typing import Any

import torch

from models.catalogue import family
from models.checkpoint.hugging_face import write_published
from models.family import FamilyConfig
from tests.models.transformers.vocabularies import write_tokenizer

N_POSITIONS = 64


def write_text(root: Path, family_id: str, number: int = 0, name: str | None = None, **changes: Any) -> Path:
    """The `number`-th tiny configuration of a family, as `<family>-<number>` unless it is named."""
    spec = family(family_id)
    given = spec.tiny[number].to_dict() | {"n_positions": N_POSITIONS} | changes
    config: FamilyConfig = spec.config.from_dict(given)
    torch.manual_seed(0)
    model = spec.new_model(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.normal_(std=0.3)
    folder = root / family_id / (name or f"{family_id.split('/')[1]}-{number}")
    assert spec.published is not None
    extra = {} if spec.published.model_type == "marian" else {"bos_token_id": 0, "eos_token_id": None}
    write_published(folder, model, spec, config, extra=extra, dtype=torch.float32)
    write_tokenizer(folder, spec.published.model_type, config.to_dict()["vocab_size"])
    return folder

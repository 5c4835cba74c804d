"""Models of `transformers` with random weights, which ours are compared with."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoint import load_model, read_checkpoint
from models.tasks.text import Details, Tokens
from models.text.text_model import TextModel
from tests.models.transformers.vocabularies import write_tokenizer

TOLERANCE = 1e-4

Texts = list[Tokens]


def publish(folder: Path, architecture: str, config: Any) -> Any:
    """Save a random model of that architecture with a tokenizer, and return it in evaluation mode."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config._attn_implementation = "eager"
        model = getattr(transformers, architecture)(config).eval()
        for name, parameter in model.named_parameters():  # so that no vector is all zeros or ones
            if parameter.ndim == 1 or "final_logits_bias" in name:
                parameter.data += 0.1 * torch.randn_like(parameter)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias += torch.randn_like(model.final_logits_bias)
        model.save_pretrained(folder)
    write_tokenizer(folder, config.model_type, config.vocab_size)
    return model


def change(folder: Path, **values: Any) -> None:
    """Replace values of `config.json`."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def change_weights(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Edit the stored parameters, which are given by name."""
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def ours(folder: Path) -> TextModel:
    return cast("TextModel", load_model(read_checkpoint(folder)))


def random_text(length: int, vocab_size: int, seed: int, *, n_types: int = 1) -> Tokens:
    draw = np.random.default_rng(seed)
    split = int(draw.integers(length)) if n_types > 1 else length
    texts = [0] * split + [1] * (length - split)
    details = Details(offsets=[(0, 0)] * length, texts=texts)
    return Tokens(ids=draw.integers(5, vocab_size, length), type_ids=np.array(texts), details=lambda: details)


def texts_for(model: TextModel, *, n_types: int = 1, n: int = 9) -> Texts:
    """Return texts of mixed lengths, two of them equal, with the shortest and the longest that the model takes."""
    draw = np.random.default_rng(1)
    longest = model.n_positions
    lengths = [1, longest, 4, 4, *draw.integers(1, longest + 1, n - 4).tolist()]
    draw.shuffle(lengths)
    return [random_text(length, model.vocab_size, seed, n_types=n_types) for seed, length in enumerate(lengths)]


def padded(texts: Sequence[Tokens], padding: int) -> dict[str, Tensor]:
    """Return the inputs of the reference."""
    longest = max(map(len, texts))

    def grid(rows: list[list[int]], filler: int) -> Tensor:
        return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])

    return {
        "input_ids": grid([text.ids.tolist() for text in texts], padding),
        "attention_mask": grid([[1] * len(text) for text in texts], 0),
        "token_type_ids": grid([text.type_ids.tolist() for text in texts], 0),
    }


def assert_close(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE)

"""What recipes that name texts share: accuracy on a test split, samples."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor

from models.codecs.text.codec import FastCodec
from models.family import Model
from models.layers.encoder import TextEncoder
from models.layers.text_model import TextModel
from training.data.files import DataFolder
from training.data.labelled import Labelled
from training.recipe import Shelf
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import drawn, quoted

AT_ONCE = 64


class ClassificationRecipe(TextRecipe):
    """A sequence head's accuracy on the rows of `tested`; `chosen` are texts for the card."""

    labels: ClassVar[tuple[str, ...]]
    chosen: ClassVar[tuple[str, ...]]

    @abstractmethod
    def tested(self, data: DataFolder) -> Sequence[Labelled]:
        """Rows never trained on."""

    def evaluate(self, models: Sequence[Model], shelf: Shelf) -> dict[str, float]:
        """Accuracy, and that of the commonest class."""
        rows = self.tested(shelf.data)
        truth = torch.tensor([row.label for row in rows])
        logits = class_logits(cast("TextEncoder", models[0]), self.codec(shelf), [row.text for row in rows])
        commonest = truth.bincount().max().item() / len(truth)
        return {"accuracy": (logits.argmax(1) == truth).double().mean().item(), "commonest": commonest}

    def samples(self, model: TextModel, shelf: Shelf) -> tuple[list[str], list[str]]:
        """Texts, the likeliest class and, of those drawn, the true one."""
        rows = drawn(self.tested(shelf.data), N_SAMPLES)
        texts = [*self.chosen, *(row.text for row in rows)]
        probs = class_logits(cast("TextEncoder", model), self.codec(shelf), texts).softmax(1)
        named = [
            f"{quoted(text)} → {self.labels[int(row.argmax())]} {row.max():.2f}"
            for text, row in zip(texts, probs.unbind(), strict=True)
        ]
        n = len(self.chosen)
        true = [f"{line} (true: {self.labels[row.label]})" for line, row in zip(named[n:], rows, strict=True)]
        return named[:n], true


def class_logits(model: TextEncoder, codec: FastCodec, texts: Sequence[str]) -> Tensor:
    """`[n, n_labels]`."""
    tokens = [codec.encode_truncated(text) for text in texts]
    with torch.inference_mode():
        parts = [model.class_logits(tokens[start : start + AT_ONCE]) for start in range(0, len(tokens), AT_ONCE)]
    return torch.cat(parts)

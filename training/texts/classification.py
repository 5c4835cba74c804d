"""The base class of recipes that classify texts."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.family import Model
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel
from training.data.files import DataFolder
from training.data.labelled_text import LabelledText
from training.recipe import Resources
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, quote

BATCH_SIZE = 64


class ClassificationRecipe(TextRecipe):
    """A recipe measured by the accuracy of a model's sequence head; `sample_inputs` are texts for the model card."""

    labels: ClassVar[tuple[str, ...]]
    sample_inputs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def test_rows(self, data: DataFolder) -> Sequence[LabelledText]:
        """Return labelled texts that the model was never trained on."""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the accuracy, and that of always naming the commonest class."""
        rows = self.test_rows(resources.data)
        truth = torch.tensor([row.label for row in rows])
        logits = class_logits(cast("TextEncoder", model), self.codec(resources), [row.text for row in rows])
        commonest = truth.bincount().max().item() / len(truth)
        return {"accuracy": (logits.argmax(1) == truth).double().mean().item(), "commonest": commonest}

    @override
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Show texts with their likeliest class and, for the drawn ones, the true class."""
        rows = draw_examples(self.test_rows(resources.data), N_SAMPLES)
        texts = [*self.sample_inputs, *(row.text for row in rows)]
        probs = class_logits(cast("TextEncoder", model), self.codec(resources), texts).softmax(1)
        lines = [
            f"{quote(text)} → {self.labels[int(row.argmax())]} {row.max():.2f}"
            for text, row in zip(texts, probs.unbind(), strict=True)
        ]
        n = len(self.sample_inputs)
        true = [f"{line} (true: {self.labels[row.label]})" for line, row in zip(lines[n:], rows, strict=True)]
        return lines[:n], true


def class_logits(model: TextEncoder, codec: TokenizersCodec, texts: Sequence[str]) -> Tensor:
    """Return the logits of the classes of each text, `[n, n_labels]`."""
    tokens = [codec.encode_truncated(text) for text in texts]
    with torch.inference_mode():
        parts = [model.class_logits(tokens[start : start + BATCH_SIZE]) for start in range(0, len(tokens), BATCH_SIZE)]
    return torch.cat(parts)

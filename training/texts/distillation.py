"""Learning the vectors of a larger sentence encoder.

Shapes: `B` texts, `D` width of the model, `E` width of the teacher.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.layers.block import Block
from models.text.text_encoder import TextEncoder
from training.data.files import DataFolder
from training.recipe import Batch, Resources
from training.texts.corpus import Rows, encode_all, ragged_batch
from training.texts.finetuning import FineTuning, embed, mean_states
from training.texts.teacher import Teacher

Texts = Callable[[DataFolder], Sequence[str]]

N_CENTRED = 2048
"""Number of texts whose mean vector is subtracted before the first step."""


class Distillation(FineTuning):
    """Minimises the distance of the model's vectors to those of a teacher, and of their cosines to the teacher's.

    The teacher's vectors are projected to `width` dimensions, the width of the model, by `main_directions`. The loss is
    the mean of 1 - cos(s, t) over the texts, with the vectors s of the model and t of the teacher, plus
    `COSINES_WEIGHT` times the mean square of the differences between the model's cosines of the texts of a batch and
    those of the teacher's vectors before the projection.

    Source: Reimers, Gurevych, EMNLP 2020, equation 1, for the vectors; Park et al., CVPR 2019, section 3.2, for the
    relations between the items of a batch.
    """

    COSINES_WEIGHT = 10.0

    def __init__(
        self, *, teacher_of: Callable[[Resources], Teacher], texts_of: Texts, width: int, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._teacher_of, self._texts_of, self._width = teacher_of, texts_of, width

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the texts and the teacher's vectors, `[n, E]` in float16 and `[n, D]` in float32."""
        texts = self._texts_of(resources.data)
        whole = self._teacher_of(resources).vectors(texts)
        rows = Rows.of(encode_all(self.codec(resources), texts, "texts"))
        return *rows.batch, whole.half(), functional.normalize(whole @ main_directions(whole, self._width), dim=1)

    def word_vectors(self, resources: Resources) -> Tensor:
        """Return the teacher's vector of each token of the vocabulary, reduced as those of the texts are, `[V, D]`.

        A piece that continues a word is read as a word. Source: van Dongen, Tulkens, Model2Vec, 2024.
        """
        tokenizer, teacher = self._vocabulary.tokenizer(resources), self._teacher_of(resources)
        ids = tokenizer.get_vocab()
        tokens = [token.removeprefix("##") for token in sorted(ids, key=ids.__getitem__)]
        directions = main_directions(teacher.vectors(self._texts_of(resources.data)), self._width)
        return teacher.vectors(tokens) @ directions

    @override
    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Shift the model's vectors so that their mean over some of the texts is zero."""
        companion = super().begin(model, items)
        centre(model, tuple(tensor[:N_CENTRED] for tensor in items[:3]))
        return companion

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the loss of the vectors and of their cosines."""
        *texts, whole, targets = batch
        found, whole = embed(model, ragged_batch(tuple(texts))), whole.float()
        differences = found @ found.T - whole @ whole.T
        return 1.0 - (found * targets).sum(1).mean() + self.COSINES_WEIGHT * differences.square().mean()


@torch.no_grad()
def centre(model: TextEncoder, texts: Batch) -> None:
    """Subtract the mean of the texts' vectors from the bias of the last layer norm.

    A new encoder gives all texts nearly the same vector, and a part that all vectors share would take many steps to
    unlearn.
    """
    means = mean_states(model, ragged_batch(texts))
    last = [module for module in model.modules() if isinstance(module, Block)][-1]
    cast("nn.LayerNorm", last.feedforward_residual_norm).bias.sub_(means.mean(0))


def main_directions(whole: Tensor, width: int) -> Tensor:
    """Return the `width` orthogonal directions in which vectors `[n, E]` are longest on average, `[E, width]`.

    They are those of the uncentred second moments, so that cosines between projected vectors change little.
    """
    directions: Tensor = torch.linalg.eigh(whole.T @ whole).eigenvectors[:, -width:]
    return directions

"""The stage that trains an encoder-decoder on pairs of texts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.text.sinusoids import sinusoids
from models.transformers.vanilla.model import VanillaTransformer
from models.transformers.vanilla.objective import loss
from training.data.files import DataFolder
from training.data.multi30k import TranslationPair
from training.optimisers import muon_and_adamw
from training.recipe import Batch, Resources
from training.texts.averaging import AveragedStage
from training.texts.corpus import Rows, encode_all, ragged_batch
from training.texts.finetuning import set_dropout
from training.texts.vocabulary import Vocabulary


class Translation(AveragedStage[VanillaTransformer]):
    """Minimises the label-smoothed cross-entropy; the result is the average of the weights of the last steps."""

    name = "translation"
    unit = "pairs"
    max_gradient_norm = 1.0
    smoothing = 0.1

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        max_tokens: int,
        pairs_of: Callable[[DataFolder], Sequence[TranslationPair]],
        n_epochs: int,
        batch_size: int,
        muon_lr: float,
        adamw_lr: float,
        dropout: float,
        averaged_share: float = 0.2,
    ) -> None:
        self.n_epochs, self.batch_size = n_epochs, batch_size
        self._vocabulary, self._max_tokens, self._pairs_of = vocabulary, max_tokens, pairs_of
        self._muon_lr, self._adamw_lr, self._dropout, self.averaged_share = muon_lr, adamw_lr, dropout, averaged_share

    @override
    def items(self, resources: Resources) -> Batch:
        """Return sources and targets, each with its end token."""
        codec, pairs = self._vocabulary.codec(resources, self._max_tokens), self._pairs_of(resources.data)
        sources = Rows.of(encode_all(codec, [pair.source for pair in pairs], "sources"))
        targets = Rows.of(encode_all(codec, [pair.target for pair in pairs], "targets"))
        return *sources.batch, *targets.batch

    @override
    def begin(self, model: VanillaTransformer, items: Batch) -> nn.Module:
        """Fix the positions to sinusoids, draw word embeddings of the same scale, and set the dropout probability."""
        for side in (model.encoder, model.decoder):
            side.positions.weight.data.copy_(sinusoids(*side.positions.weight.shape))
            side.positions.requires_grad_(False)
            nn.init.normal_(
                side.words.weight, std=model.config.width**-0.5
            )  # on the scale of the sinusoids, once multiplied by √width
        set_dropout(model, self._dropout)
        return super().begin(model, items)

    @override
    def optimisers(self, model: VanillaTransformer, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Muon for matrices other than embeddings, and AdamW for the rest."""
        return muon_and_adamw(model, muon_lr=self._muon_lr, adamw_lr=self._adamw_lr, weight_decay=0.1)

    @override
    def learning_rate(self, progress: float) -> float:
        """Rise over the first twentieth of the steps, then fall linearly to zero."""
        return min(1.0, progress / 0.05) * (1.0 - progress)

    @override
    def loss(self, model: VanillaTransformer, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        return loss(model, ragged_batch(batch[:3]), ragged_batch(batch[3:]), self.smoothing)

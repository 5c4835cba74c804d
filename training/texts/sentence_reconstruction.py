"""The stage that trains the recurrent autoencoder of texts: to restore sentences from noisy ones.

Shapes: `N` batches, `B` sentences of each, `T` tokens of the longest.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoders.recurrent_text.config import RecurrentTextConfig
from models.autoencoders.recurrent_text.model import RecurrentTextAutoencoder
from models.autoencoders.recurrent_text.noise import WordNoise
from models.autoencoders.recurrent_text.objective import loss
from training.data.files import DataFolder
from training.recipe import Batch, Resources
from training.texts.averaging import AveragedStage
from training.texts.corpus import tokenise_documents
from training.texts.vocabulary import Vocabulary


class SentenceReconstruction(AveragedStage[RecurrentTextAutoencoder]):
    """Minimises the cross-entropy of sentences, given latents of noisy ones, to which noise is added as well.

    A step takes one batch of sentences of nearly the same length. Of the tokens that the decoder reads, a share is
    masked, so that it relies on the latent (Bowman et al. 2016, section 3.1). The embeddings are drawn anew, with the
    `embedding_deviation`, unless it is None.
    """

    unit = "sentences"
    batch_size = 1
    autocast = False
    max_gradient_norm = 1.0

    def __init__(
        self,
        *,
        name: str = "reconstruction",
        vocabulary: Vocabulary,
        config: RecurrentTextConfig,
        sentences_of: Callable[[DataFolder], Sequence[str]],
        noise: WordNoise,
        n_epochs: int,
        n_sentences: int,
        lr: float,
        embedding_deviation: float | None,
        masked_inputs: float,
        latent_noise: float,
        averaged_share: float,
    ) -> None:
        self.name, self.n_epochs, self.units_per_item = name, n_epochs, n_sentences
        self.averaged_share = averaged_share
        self._vocabulary, self._config, self._sentences_of, self._noise = vocabulary, config, sentences_of, noise
        self._n_sentences, self._lr, self._embedding_deviation = n_sentences, lr, embedding_deviation
        self._masked_inputs, self._latent_noise = masked_inputs, latent_noise

    @override
    def items(self, resources: Resources) -> Batch:
        """Return batches of sentences with their end tokens, `[N, B, T]` int16, padded with the start token.

        Sentences that are longer than the model's texts are left out, and so are those that are too few for a batch.
        """
        tokenizer, limit = self._vocabulary.tokenizer(resources), self._config.max_tokens
        sentences = self._sentences_of(resources.data)
        rows = [row for row in tokenise_documents(tokenizer, sentences, "sentences") if 0 < len(row) < limit]
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
        rows = sorted((rows[i] for i in order), key=len)
        n_batches = len(rows) // self._n_sentences
        ids = np.full((n_batches * self._n_sentences, limit), self._config.start_id, np.int16)
        for place, row in zip(ids, rows, strict=False):
            place[: len(row)], place[len(row)] = row, self._config.end_id
        return (torch.from_numpy(ids).view(n_batches, self._n_sentences, limit),)

    @override
    def begin(self, model: RecurrentTextAutoencoder, items: Batch) -> nn.Module:
        """Draw the embeddings, which compute the logits as well, where the stage asks for it."""
        if self._embedding_deviation is not None:
            nn.init.normal_(model.words.weight, std=self._embedding_deviation)
        return super().begin(model, items)

    @override
    def optimisers(self, model: RecurrentTextAutoencoder, companion: nn.Module) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(model.parameters(), lr=self._lr, betas=(0.9, 0.98), weight_decay=0.0)]

    @override
    def loss(
        self, model: RecurrentTextAutoencoder, batch: Batch, generator: torch.Generator, companion: nn.Module
    ) -> Tensor:
        """Return the mean cross-entropy of the tokens, in nats."""
        ids = batch[0][0].long()
        lengths = (ids != self._config.start_id).sum(1)
        ids = ids[:, : lengths.max()]
        latents = model.encode(*self._noise(ids, model.begins_word[ids], lengths - 1, generator))
        latents = latents + self._latent_noise * torch.randn(latents.shape, generator=generator)
        start = torch.full_like(ids[:, :1], self._config.start_id)
        previous = torch.cat([start, ids[:, :-1]], 1)
        is_masked = torch.rand(previous.shape, generator=generator) < self._masked_inputs
        is_masked[:, 0] = False
        return loss(model.logits(latents, previous.where(~is_masked, self._config.mask_id)), ids, lengths)


def word_beginnings(vocabulary: Vocabulary, resources: Resources) -> Tensor:
    """Return whether each token of a vocabulary of bytes begins a word, with the space before it: `[V]` bool."""
    tokenizer = vocabulary.tokenizer(resources)
    return torch.tensor(
        [(tokenizer.id_to_token(number) or "").startswith("Ġ") for number in range(tokenizer.get_vocab_size())]
    )

"""Stages that pretrain language models: masked words, and continuations.

Shapes: `B` rows, `T` tokens of each row, `N` = B T.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers.block import Block
from models.layers.heads import MaskedLanguageHead
from models.objectives import causal_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch, remove_padding
from models.text.text_encoder import TextEncoder
from models.transformers.gpt.model import Gpt
from models.transformers.gpt.objective import loss as gpt_loss
from models.transformers.roberta.objective import loss as masked_text_loss
from training.data.files import DataFolder
from training.optimisers import muon_and_adamw
from training.recipe import Batch, ModelT, Resources, Stage
from training.texts.corpus import document_pieces, token_stream, tokenise_documents
from training.texts.masking import Masking, MaskingKind, begins_word_table
from training.texts.vocabulary import Vocabulary

NORM_EPS = 1e-5
"""Epsilon of the layer norm in the temporary head of `TaskAdaptivePretraining`."""


@dataclass(frozen=True)
class TextSource:
    """A named source of texts, each a document."""

    name: str
    texts: Callable[[DataFolder], Sequence[str]]


class Pretraining(Stage[ModelT], Generic[ModelT]):
    """Base of the pretraining stages: `n_tokens` tokens of the sources, in rows of `length` tokens.

    A step takes `batch_size` rows. `rate_factor` scales both learning rates. With `n_learned_positions`, only that many
    position embeddings were trained before, and the later ones start as copies of these without the first (Beltagy,
    Peters, Cohan 2020, section 5).
    """

    n_epochs = 0
    unit = "tokens"
    max_gradient_norm = 1.0

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        sources: Sequence[TextSource],
        n_tokens: int,
        length: int = 128,
        batch_size: int = 32,
        muon_lr: float = 0.01,
        adamw_lr: float = 5e-3,
        rate_factor: float = 1.0,
        n_learned_positions: int | None = None,
        name: str = "pretraining",
    ) -> None:
        self.name, self.batch_size, self.length = name, batch_size, length
        self._n_learned_positions, self.units_per_item = n_learned_positions, float(length)
        self._vocabulary, self._sources, self._n_tokens = vocabulary, sources, n_tokens
        self._muon_lr, self._adamw_lr = rate_factor * muon_lr, rate_factor * adamw_lr

    @override
    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        """Copy the position embeddings, if `n_learned_positions` is set."""
        if self._n_learned_positions is not None:
            copy_positions(model.get_submodule("embeddings.positions"), self._n_learned_positions)
        return super().begin(model, items)

    @override
    def total_steps(self, n_items: int) -> int:
        """Return the number of steps that `n_tokens` fill."""
        return int(self._n_tokens / (self.units_per_item * self.batch_size))

    def tokenise_documents(self, resources: Resources) -> Iterator[Any]:
        """Yield the tokens of each document of the sources."""
        tokenizer = self._vocabulary.tokenizer(resources)
        for source in self._sources:
            yield from tokenise_documents(tokenizer, source.texts(resources.data), source.name)

    @override
    def optimisers(self, model: ModelT, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Muon for matrices other than embeddings, and AdamW for the rest."""
        return muon_and_adamw(model, muon_lr=self._muon_lr, adamw_lr=self._adamw_lr, weight_decay=0.1)

    @override
    @abstractmethod
    def items(self, resources: Resources) -> Batch:
        """Return rows, and the tensors that belong to them."""


@dataclass(frozen=True)
class MaskedBatch:
    """A batch of masked texts.

    `targets` `[N]`, int64, are the original tokens at masked positions and -1 elsewhere; `labels` `[B]` are those of
    pairs.
    """

    texts: RaggedBatch
    targets: Tensor
    labels: Tensor

    @classmethod
    def from_rows(
        cls, rows: Tensor, types: Tensor, targets: Tensor, labels: Tensor, lengths: Sequence[int], device: torch.device
    ) -> Self:
        """Pack rows, token types and targets `[B, T]`, without the padding after the first `lengths` tokens."""
        texts = RaggedBatch.of_rows(rows.to(device), lengths, types.to(device))
        return cls(texts, remove_padding(targets, lengths).long().to(device), labels.to(device))


class MaskedPretraining(Pretraining[TextEncoder]):
    """Masked language modelling on rows of consecutive whole texts (Liu et al. 2019, section 4.2: FULL-SENTENCES)."""

    def __init__(self, *, masking: MaskingKind = "dynamic", masked_share: float = 0.15, **settings: Any) -> None:
        super().__init__(**settings)
        self._kind, self._masked_share = masking, masked_share
        self._masking: Masking

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the rows `[n, T - 2]`, their indices, which seed static masks, and any further tensors of `rows`."""
        rows, *others = self.rows(resources)
        tokenizer = self._vocabulary.tokenizer(resources)
        roles = self._vocabulary.roles
        self._start, self._end = (self._vocabulary.id_of(tokenizer, role) for role in ("cls_token", "sep_token"))
        self._masking = Masking(
            kind=self._kind,
            share=self._masked_share,
            mask_id=self._vocabulary.id_of(tokenizer, "mask_token"),
            n_special=len(set(roles.values())),
            begins_word=begins_word_table(tokenizer),
        )
        return rows, torch.arange(len(rows)), *others

    def rows(self, resources: Resources) -> Batch:
        """Return the rows without special tokens, and any further tensors of a subclass."""
        end = self._vocabulary.id_of(self._vocabulary.tokenizer(resources), "sep_token")
        return (token_stream(self.tokenise_documents(resources), end, self.length - 2),)

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the loss of masked words."""
        masked_batch = self.masked_batch(batch, generator)
        return masked_text_loss(model, masked_batch.texts, masked_batch.targets)

    def masked_batch(self, batch: Batch, generator: torch.Generator) -> MaskedBatch:
        """Add special tokens to some of the items and mask them, on the CPU, where the generator is."""
        rows, numbers = (tensor.cpu() for tensor in batch)
        labels = torch.zeros(len(rows), dtype=torch.int64)
        masked, targets = self._masking(add_special_tokens(rows, self._start, self._end), numbers, generator)
        lengths = [masked.shape[1]] * len(masked)
        return MaskedBatch.from_rows(masked, torch.zeros_like(masked), targets, labels, lengths, batch[0].device)


class TaskAdaptivePretraining(MaskedPretraining):
    """Masked language modelling on the texts of a task, with a temporary head (Gururangan et al. 2020, section 4).

    The word embeddings must be as wide as the model.
    """

    @override
    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Add the masked language head."""
        vocab_size, width = model.word_matrix().shape
        head = MaskedLanguageHead(width, width, vocab_size, "gelu", NORM_EPS, untied=False)
        model.masked_head = head.to(items[0].device)
        return super().begin(model, items)

    @override
    def end(self, model: TextEncoder, companion: nn.Module) -> None:
        """Remove the masked language head."""
        model.masked_head = None


class CausalEncoderPretraining(MaskedPretraining):
    """Causal language modelling as an encoder's first stage, on pieces of documents.

    A row has a prediction at every token instead of at one in seven, so that words are learned in a fraction of the
    time; masked stages follow. Source: Gisserot-Boukhlef et al. 2025, section 4.
    """

    @override
    def rows(self, resources: Resources) -> Batch:
        return (document_pieces(self.tokenise_documents(resources), self.length - 2),)

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the mean loss of all tokens but the first of each row."""
        texts = RaggedBatch.of_rows(add_special_tokens(batch[0], self._start, self._end))
        hidden = model.hidden(texts, PaddedTexts(texts.segments, causal=True))
        return causal_loss(texts.token_ids, texts.segments, hidden, model.masked_logits)


class CausalPretraining(Pretraining[Gpt]):
    """Causal language modelling on rows of consecutive whole texts (Radford et al. 2018)."""

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the rows, `[n, T]`."""
        tokenizer = self._vocabulary.tokenizer(resources)
        end = self._vocabulary.id_of(tokenizer, "eos_token")
        return (token_stream(self.tokenise_documents(resources), end, self.length),)

    @override
    def loss(self, model: Gpt, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the mean loss of all tokens but the first of each row."""
        return gpt_loss(model, RaggedBatch.of_rows(batch[0]))


def initialise_weights(model: nn.Module) -> None:
    """Draw the initial weights of a Transformer: standard deviation 0.02 for embeddings, and n_in^-½ for matrices.

    The last matrices of the residual branches are scaled by (number of branches)^-½, so that the sum of all branches
    keeps its deviation. Biases are zero.

    Source: Radford et al. 2019, section 2.3.
    """
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for block in blocks:
        for last in (block.attention.out, block.feedforward[-1]):
            last.weight.data *= (2 * len(blocks)) ** -0.5


@torch.no_grad()
def copy_positions(positions: nn.Module, n_learned_positions: int) -> None:
    """Fill the position embeddings after the learned ones with repeated copies of these, without the first."""
    weight = cast("nn.Embedding", positions).weight
    indices = torch.arange(len(weight), device=weight.device)
    repeated = (indices - 1) % (n_learned_positions - 1) + 1
    weight.copy_(weight[torch.where(indices < n_learned_positions, indices, repeated)])


def add_special_tokens(rows: Tensor, start: int, end: int) -> Tensor:
    """Put a start and an end token around rows `[B, T]`, giving `[B, T + 2]`."""
    return nn.functional.pad(nn.functional.pad(rows, (1, 0), value=start), (0, 1), value=end)

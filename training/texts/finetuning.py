"""Stages that fine-tune a pretrained encoder to classify texts or words, or to embed texts.

Shapes: `B` texts, `N` tokens of all texts together, `D` width.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.tasks.text import Tokens
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from training.data.files import DataFolder
from training.data.labelled_text import LabelledText
from training.data.named_entities import TAGS, TaggedSentence
from training.data.stsb import MAX_SCORE, ScoredPair
from training.errors import TrainingError
from training.optimisers import muon_and_adamw
from training.recipe import Batch, Resources
from training.texts.averaging import AveragedStage
from training.texts.corpus import Rows, encode_all, pad_rows, ragged_batch
from training.texts.vocabulary import Vocabulary

_WORD = re.compile(r"\w+|[^\w\s]")
EMBEDDING_RATE_FACTOR = 0.3
"""Factor on the learning rate of embeddings, so that rare words stay near their pretrained embeddings."""


class FineTuning(AveragedStage[TextEncoder]):
    """Base of the fine-tuning stages: AdamW with dropout and a linear schedule with warm-up.

    With `muon_lr`, Muon updates the matrices other than embeddings; it suits tasks that are new to the encoder. In
    stages that mask words, `masked_share` of the tokens is replaced by the mask, so that the model does not rely on
    single words.
    """

    unit = "texts"
    max_gradient_norm = 1.0

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        max_tokens: int,
        n_epochs: int,
        batch_size: int = 32,
        lr: float = 5e-4,
        dropout: float = 0.1,
        masked_share: float = 0.0,
        muon_lr: float | None = None,
        averaged_share: float = 0.0,
        name: str = "fine-tuning",
    ) -> None:
        self.name, self.n_epochs, self.batch_size, self.averaged_share = name, n_epochs, batch_size, averaged_share
        self._vocabulary, self._max_tokens = vocabulary, max_tokens
        self._lr, self._muon_lr, self._dropout, self._masked_share = lr, muon_lr, dropout, masked_share
        self._mask_id, self._n_special = 0, len(set(vocabulary.roles.values()))

    def codec(self, resources: Resources) -> TokenizersCodec:
        """Return the codec of the stage's texts, and note its mask token."""
        codec = self._vocabulary.codec(resources, self._max_tokens)
        self._mask_id = codec.special.mask or 0
        return codec

    def mask_words(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Replace some tokens of `[B, T]` by the mask; special tokens and padding stay."""
        draws = torch.rand(ids.shape, generator=generator).to(ids.device)
        return ids.masked_fill((draws < self._masked_share) & (ids >= self._n_special), self._mask_id)

    @override
    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Set the dropout probability."""
        set_dropout(model, self._dropout)
        return super().begin(model, items)

    @override
    def optimisers(self, model: TextEncoder, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return AdamW with a lower rate for embeddings, or Muon and AdamW."""
        if self._muon_lr is not None:
            return muon_and_adamw(model, muon_lr=self._muon_lr, adamw_lr=self._lr, weight_decay=0.01)
        embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
        embedding_ids = {id(weight) for weight in embeddings}
        others = [p for p in model.parameters() if id(p) not in embedding_ids]
        groups: list[dict[str, Any]] = [
            {"params": others},
            {"params": embeddings, "lr": self._lr * EMBEDDING_RATE_FACTOR},
        ]
        return [torch.optim.AdamW(groups, lr=self._lr, weight_decay=0.01, betas=(0.9, 0.98))]

    @override
    def learning_rate(self, progress: float) -> float:
        """Rise over the first tenth of the steps, then fall linearly to zero."""
        return min(1.0, progress / 0.1) * (1.0 - progress)


class TextClassification(FineTuning):
    """Minimises the cross-entropy of the classes of texts, with label smoothing.

    With `consistency`, each text is read twice with different dropout and masks, and the symmetric divergence of the
    two predictions, times `consistency`, is added to the loss (R-Drop; Wu et al., NeurIPS 2021, equation 3).
    """

    def __init__(
        self,
        *,
        rows_of: Callable[[DataFolder], Sequence[LabelledText]],
        smoothing: float = 0.1,
        consistency: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._rows_of, self._smoothing, self._consistency = rows_of, smoothing, consistency

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the texts and their labels."""
        rows = self._rows_of(resources.data)
        texts = Rows.of(encode_all(self.codec(resources), [row.text for row in rows], "labelled texts"))
        return *texts.batch, torch.tensor([row.label for row in rows])

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the cross-entropy, plus the weighted divergence where consistency is asked for."""
        ids, types, lengths, labels = (torch.cat([part, part]) for part in batch) if self._consistency else batch
        row = ragged_batch((self.mask_words(ids, generator), types, lengths))
        logits = require_head(model, "sequence_head")(model.pooler_output(row, last_hidden_states(model, row))).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        if self._consistency:
            loss = loss + self._consistency * _symmetric_divergence(*logits.log_softmax(1).chunk(2))
        return loss


class TokenClassification(FineTuning):
    """Minimises the cross-entropy of the classes of words, each predicted at its first token."""

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[TaggedSentence]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the texts and the tag of each token, -1 for tokens that do not count."""
        codec, rows = self.codec(resources), self._rows_of(resources.data)
        texts = encode_all(codec, [" ".join(row.words) for row in rows], "tagged texts")
        tags = [tags_of_first_tokens(*pair) for pair in zip(texts, rows, strict=True)]
        return *Rows.of(texts).batch, pad_rows(tags)

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the mean cross-entropy of the tags."""
        ids, types, lengths, tags = batch
        row = ragged_batch((self.mask_words(ids, generator), types, lengths))
        targets = RaggedBatch.of_rows(tags, row.segments.lengths).token_ids
        logits = require_head(model, "token_head")(last_hidden_states(model, row))
        return functional.cross_entropy(logits.float(), targets, ignore_index=-1)


class CapitalPrediction(FineTuning):
    """Minimises the cross-entropy of whether a word is capitalised, predicted by an uncased model.

    The probability of a capital is that of any tag other than `O`, so that the token head learns which words are names.

    Source: Mayhew, Gupta, Roth, AAAI 2020, section 3, but with the head of the task instead of one of its own.
    """

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    @override
    def items(self, resources: Resources) -> Batch:
        """Return sentences, and for each token 1 for a capital, 0 for none, and -1 where it is not informative."""
        rows = [capital_labels(text) for text in self._rows_of(resources.data)]
        texts = encode_all(self.codec(resources), [" ".join(words) for words, _ in rows], "sentences")
        labels = [first_token_labels(text, *row) for text, row in zip(texts, rows, strict=True)]
        return *Rows.of(texts).batch, pad_rows(labels)

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the mean negative log-likelihood of the capitals."""
        *texts, labels = batch
        row = ragged_batch(tuple(texts))
        targets = RaggedBatch.of_rows(labels, row.segments.lengths).token_ids
        log_probs = require_head(model, "token_head")(last_hidden_states(model, row)).float().log_softmax(-1)
        binary = torch.stack([log_probs[:, 0], log_probs[:, 1:].logsumexp(-1)], 1)
        return functional.nll_loss(binary, targets, ignore_index=-1)


class SimilarityRegression(FineTuning):
    """Minimises the mean squared difference between the cosine of two texts and their score, divided by the highest.

    Source: Reimers, Gurevych, EMNLP 2019, section 3, the objective function for regression.
    """

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[ScoredPair]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    @override
    def items(self, resources: Resources) -> Batch:
        """Return both texts of each pair, and the human score of their similarity, from 0 to 1."""
        rows = self._rows_of(resources.data)
        firsts, seconds = (
            Rows.of(encode_all(self.codec(resources), texts, "pairs"))
            for texts in ([row.first for row in rows], [row.second for row in rows])
        )
        return *firsts.batch, *seconds.batch, torch.tensor([row.score / MAX_SCORE for row in rows])

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the mean squared difference."""
        firsts, seconds = (embed(model, ragged_batch(batch[start : start + 3])) for start in (0, 3))
        return functional.mse_loss((firsts * seconds).sum(1), batch[6])


def embed(model: TextEncoder, row: RaggedBatch) -> Tensor:
    """Return a vector of unit length for each text, `[B, D]`: the normalised mean of its tokens' states."""
    return functional.normalize(mean_states(model, row), dim=1)


def mean_states(model: TextEncoder, row: RaggedBatch) -> Tensor:
    """Return the mean of the states of each text's tokens, `[B, D]` float32."""
    hidden = last_hidden_states(model, row).float()
    sums = hidden.new_zeros(len(row.segments), hidden.shape[1]).index_add(0, row.segments.owners, hidden)
    return sums / hidden.new_tensor(row.segments.lengths)[:, None]


def capital_labels(text: str) -> tuple[list[str], list[int]]:
    """Split a text into words and punctuation, and label each: 1 with a capital, 0 without, -1 if not informative.

    Not informative are the first word, words after punctuation, lower-case words between two capitalised ones, numbers
    and punctuation itself.
    """
    words = _WORD.findall(text)
    labels = [int(word[0].isupper()) if word[0].isalpha() else -1 for word in words]
    is_informative = [
        before >= 0 and not (label == 0 and before == after == 1)
        for before, label, after in zip([-1, *labels], labels, [*labels[1:], -1], strict=False)
    ]
    return words, [label if informs else -1 for label, informs in zip(labels, is_informative, strict=True)]


def first_tokens(text: Tokens, words: Sequence[str]) -> dict[int, int]:
    """Return the position of each word's first token by the word's index, without words that have no token left.

    `text` encodes the words joined by single spaces.
    """
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))
    details = text.details()
    positions: dict[int, int] = {}
    for position, (part, (_, end)) in enumerate(zip(details.texts, details.offsets, strict=True)):
        if part is not None and end > 0:
            positions.setdefault(bisect_right(starts, end - 1) - 1, position)
    return positions


def first_token_labels(text: Tokens, words: Sequence[str], values: Sequence[int]) -> Tensor:
    """Return each word's value at its first token and -1 at all other tokens, `[T]` int64."""
    labels = torch.full((len(text.ids),), -1)
    for word, position in first_tokens(text, words).items():
        labels[position] = values[word]
    return labels


def tags_of_first_tokens(text: Tokens, row: TaggedSentence) -> Tensor:
    """Return the index in `TAGS` of each word's tag at its first token and -1 at all other tokens, `[T]` int64."""
    return first_token_labels(text, row.words, [TAGS.index(tag) for tag in row.tags])


def _symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence of log-probabilities `[B, C]`, averaged over both directions."""
    divergences = (first.exp() - second.exp()) * (first - second)
    return divergences.sum(1).mean() / 2


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set the probability of all dropout layers, which are active in training only."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def last_hidden_states(model: TextEncoder, row: RaggedBatch) -> Tensor:
    """Return the states of the last layer, `[N, D]`."""
    return model.hidden(row, PaddedTexts(row.segments))


def require_head(model: TextEncoder, name: str) -> nn.Module:
    """Return the model's head of that name.

    Raises:
        TrainingError: the model was built without it.
    """
    head = getattr(model, name)
    if head is None:
        raise TrainingError(f"{type(model).__name__} was built without {name}")
    return cast("nn.Module", head)

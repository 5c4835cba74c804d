"""What a pretrained encoder is tuned to do: classes of texts, of words, answers, vectors.

Shapes: `B` texts, `N` tokens of all of them, `D` width.
"""

import re
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.codecs.text.codec import FastCodec
from models.layers.encoder import TextEncoder
from models.layers.packing import Packed
from models.layers.padding import PaddedTexts
from models.tasks.text import Tokens
from training.data.files import DataFolder
from training.data.labelled_text import LabelledText
from training.data.named_entities import TAGS, TaggedSentence
from training.data.stsb import ScoredPair
from training.errors import TrainingError
from training.optimisers import muon_and_adamw
from training.recipe import Batch, Resources
from training.texts.averaging import AveragedStage
from training.texts.corpus import Rows, encode_all, pack, pad_rows
from training.texts.vocabulary import Vocabulary

_WORD = re.compile(r"\w+|[^\w\s]")
EMBEDDING_RATE_FACTOR = 0.3
"""Of the peak: words that the data hardly has are to stay where pretraining put them."""


class FineTuning(AveragedStage[TextEncoder]):
    """AdamW on all parameters, dropout, a rise over the first tenth of the steps and a straight line down to zero.

    With `muon_lr`, matrices but embeddings are Muon's: for what is learned rather than remembered. Of stages that hide,
    `hidden_share` of the tokens are behind masks, so that nothing is known by one word alone.
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

    def codec(self, resources: Resources) -> FastCodec:
        """How the texts are read."""
        codec = self._vocabulary.codec(resources, self._max_tokens)
        self._mask_id = codec.special.mask or 0
        return codec

    def mask_words(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Ids `[B, T]` with some of the words behind masks; special tokens, and what fills rows up, stay."""
        draws = torch.rand(ids.shape, generator=generator).to(ids.device)
        return ids.masked_fill((draws < self._masked_share) & (ids >= self._n_special), self._mask_id)

    @override
    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Set the probability of dropout."""
        set_dropout(model, self._dropout)
        return super().begin(model, items)

    @override
    def optimisers(self, model: TextEncoder) -> list[torch.optim.Optimizer]:
        """AdamW, slower for embeddings; or Muon and AdamW."""
        if self._muon_lr is not None:
            return muon_and_adamw(model, muon_lr=self._muon_lr, adamw_lr=self._lr, weight_decay=0.01)
        embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
        known = {id(weight) for weight in embeddings}
        others = [p for p in model.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [
            {"params": others},
            {"params": embeddings, "lr": self._lr * EMBEDDING_RATE_FACTOR},
        ]
        return [torch.optim.AdamW(groups, lr=self._lr, weight_decay=0.01, betas=(0.9, 0.98))]

    @override
    def learning_rate(self, progress: float) -> float:
        """A rise over the first tenth."""
        return min(1.0, progress / 0.1) * (1.0 - progress)

    @override
    @abstractmethod
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """See `Stage.loss`."""


class TextClassification(FineTuning):
    """Cross-entropy of texts' classes, with labels smoothed.

    With `consistency`, each text is read twice, with other dropout and other masks, and so many times the divergence of
    the two answers, the mean of both directions, is added (Wu et al., NeurIPS 2021, equation 3).
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
        """The texts and their labels."""
        rows = self._rows_of(resources.data)
        texts = Rows.of(encode_all(self.codec(resources), [row.text for row in rows], "labelled texts"))
        return *texts.batch, torch.tensor([row.label for row in rows])

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        ids, types, lengths, labels = (torch.cat([one, one]) for one in batch) if self._consistency else batch
        row = pack((self.mask_words(ids, generator), types, lengths))
        logits = require_head(model, "sequence_head")(model.pooled(row, last_hidden_states(model, row))).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        return (
            loss + self._consistency * _symmetric_divergence(*logits.log_softmax(1).chunk(2))
            if self._consistency
            else loss
        )


class TokenClassification(FineTuning):
    """Cross-entropy of the classes of words, each judged by its first token."""

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[TaggedSentence]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    @override
    def items(self, resources: Resources) -> Batch:
        """The texts, and each token's tag, -1 where it counts not."""
        codec, rows = self.codec(resources), self._rows_of(resources.data)
        texts = encode_all(codec, [" ".join(row.words) for row in rows], "tagged texts")
        tags = [tags_of_first_tokens(*pair) for pair in zip(texts, rows, strict=True)]
        return *Rows.of(texts).batch, pad_rows(tags)

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        ids, types, lengths, tags = batch
        row = pack((self.mask_words(ids, generator), types, lengths))
        targets = Packed.of_rows(tags, row.segments.lengths).token_ids
        logits = require_head(model, "token_head")(last_hidden_states(model, row))
        return functional.cross_entropy(logits.float(), targets, ignore_index=-1)


class CapitalPrediction(FineTuning):
    """Which words are parts of names, by their capitals: for models of lower case.

    The loss is of the chance that a word has a tag other than `O`, whichever.

    Source: Mayhew, Gupta, Roth, AAAI 2020, section 3, with the tags of the task in place of a head of its own.
    """

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    @override
    def items(self, resources: Resources) -> Batch:
        """Sentences, and for each token 1 for a name, 0 for none, -1 where nobody knows."""
        rows = [capital_labels(text) for text in self._rows_of(resources.data)]
        texts = encode_all(self.codec(resources), [" ".join(words) for words, _ in rows], "sentences")
        return *Rows.of(texts).batch, pad_rows(
            [first_token_labels(text, *row) for text, row in zip(texts, rows, strict=True)]
        )

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        *texts, names = batch
        row = pack(tuple(texts))
        targets = Packed.of_rows(names, row.segments.lengths).token_ids
        log_probs = require_head(model, "token_head")(last_hidden_states(model, row)).float().log_softmax(-1)
        either = torch.stack([log_probs[:, 0], log_probs[:, 1:].logsumexp(-1)], 1)
        return functional.nll_loss(either, targets, ignore_index=-1)


class ContrastivePairs(FineTuning):
    """Pairs that belong together, among all second texts of the batch (van den Oord et al. 2018, equation 4)."""

    TEMPERATURE = 0.05

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[tuple[str, str]]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    @override
    def items(self, resources: Resources) -> Batch:
        """Both texts of each pair."""
        codec, rows = self.codec(resources), self._rows_of(resources.data)
        firsts, seconds = (Rows.of(encode_all(codec, [row[side] for row in rows], "pairs")) for side in (0, 1))
        return *firsts.batch, *seconds.batch

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch, either way."""
        firsts, seconds = (embed(model, pack(batch[start : start + 3])) for start in (0, 3))
        scores = firsts @ seconds.T / self.TEMPERATURE
        positions = torch.arange(len(scores), device=scores.device)
        return (functional.cross_entropy(scores, positions) + functional.cross_entropy(scores.T, positions)) / 2


class SimilarityRanking(FineTuning):
    """Pairs in the order of their similarity: log(1 + sum over i more alike than j of exp(20 (cos_j - cos_i))).

    Source: Su, CoSENT, 2022, equation 7.
    """

    SHARPNESS = 20.0

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[ScoredPair]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    @override
    def items(self, resources: Resources) -> Batch:
        """Both texts of each pair, and how alike people find them."""
        codec, rows = self.codec(resources), self._rows_of(resources.data)
        firsts = Rows.of(encode_all(codec, [row.first for row in rows], "pairs"))
        seconds = Rows.of(encode_all(codec, [row.second for row in rows], "pairs"))
        return *firsts.batch, *seconds.batch, torch.tensor([row.score for row in rows])

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of all pairs of pairs of a batch."""
        firsts, seconds = (embed(model, pack(batch[start : start + 3])) for start in (0, 3))
        cosines, likeness = (firsts * seconds).sum(1) * self.SHARPNESS, batch[6]
        wrong = (cosines[None, :] - cosines[:, None])[likeness[:, None] > likeness[None, :]]
        return torch.cat([wrong.new_zeros(1), wrong]).logsumexp(0)


def embed(model: TextEncoder, row: Packed) -> Tensor:
    """One vector of unit length a text, `[B, D]`: the mean of its tokens'."""
    hidden = last_hidden_states(model, row).float()
    sums = hidden.new_zeros(len(row.segments), hidden.shape[1]).index_add(0, row.segments.owners, hidden)
    return functional.normalize(sums, dim=1)


def capital_labels(text: str) -> tuple[list[str], list[int]]:
    """The words and marks of a text, and of each whether it has a capital: 1, 0, or -1 where that tells nothing.

    It tells nothing of the first word, of one after a mark, of one between two with capitals, and of marks and numbers.
    """
    words = _WORD.findall(text)
    kinds = [int(word[0].isupper()) if word[0].isalpha() else -1 for word in words]
    known = [
        before >= 0 and not (kind == 0 and before == after == 1)
        for before, kind, after in zip([-1, *kinds], kinds, [*kinds[1:], -1], strict=False)
    ]
    return words, [kind if is_known else -1 for kind, is_known in zip(kinds, known, strict=True)]


def first_tokens(text: Tokens, words: Sequence[str]) -> dict[int, int]:
    """The place of each word's first token, by the word's number; a word without tokens, or cut off, is left out.

    The text is of the words, with a space between each two.
    """
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))
    details = text.details()
    positions: dict[int, int] = {}
    for position, (part, (_, end)) in enumerate(zip(details.texts, details.offsets, strict=True)):
        if part is not None and end > 0:
            positions.setdefault(bisect_right(starts, end - 1) - 1, position)
    return positions


def first_token_labels(text: Tokens, words: Sequence[str], values: Sequence[int]) -> Tensor:
    """Each word's value at its first token, -1 at all others: `[T]`, int64."""
    found = torch.full((len(text.ids),), -1)
    for word, position in first_tokens(text, words).items():
        found[position] = values[word]
    return found


def tags_of_first_tokens(text: Tokens, row: TaggedSentence) -> Tensor:
    """For each token the place of its word's tag in `TAGS`; -1 but for the first token of each word: `[T]`, int64."""
    return first_token_labels(text, row.words, [TAGS.index(tag) for tag in row.tags])


def _symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Of log-probabilities `[B, C]`: the mean of both directions of Kullback and Leibler's, a text."""
    both = (first.exp() - second.exp()) * (first - second)
    return both.sum(1).mean() / 2


def set_dropout(model: nn.Module, probability: float) -> None:
    """For all of its dropout; it counts while training only."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def last_hidden_states(model: TextEncoder, row: Packed) -> Tensor:
    """The last ones, `[N, D]`."""
    return model.hidden(row, PaddedTexts(row.segments))


def require_head(model: TextEncoder, name: str) -> nn.Module:
    """A head that the stage needs.

    Raises:
        TrainingError: the model was built without it.
    """
    head = getattr(model, name)
    if head is None:
        raise TrainingError(f"{type(model).__name__} was built without {name}")
    return cast("nn.Module", head)

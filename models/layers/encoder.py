"""Bidirectional encoders of text: what BERT, RoBERTa and ALBERT have in common.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of one, `D` width, `V` vocabulary.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.codecs.text.codec import Special
from models.errors import CheckpointError
from models.family import FamilyConfig
from models.layers.attention import Witnessed
from models.layers.devices import on_cpu
from models.layers.feedforward import ACTIVATIONS
from models.layers.heads import MaskedLanguageHead, Pooler
from models.layers.packing import Packed
from models.layers.parts import parts_of
from models.layers.text_model import MAX_TOKENS_AT_ONCE, TextModel, chosen
from models.layers.transformer import BlockShape
from models.tasks import (
    ANSWER,
    ATTEND,
    CLASSIFY_TEXT,
    CLASSIFY_TOKENS,
    ENCODE_TEXT,
    FILL_MASK,
    PROJECT_TEXTS,
    SCORE_TEXT,
    SIMILARITY,
    Task,
)
from models.tasks import text as t

ModuleT = TypeVar("ModuleT", bound=nn.Module)

HEADS = ("pooler", "masked", "pair", "sequence", "tokens", "span")
MAX_MASKED_TOKENS = 4096
"""Of the copies of one text that are scored at once."""
PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(FamilyConfig):
    """Hyperparameters of a bidirectional encoder.

    `heads`, of `HEADS`: the pooler alone; masked words; whether two sentences belong together; classes of texts, of
    tokens; the span of an answer. `untied`: the masked-word head has a matrix of its own.
    """

    vocab_size: int
    n_positions: int
    n_token_types: int
    width: int
    n_layers: int
    n_heads: int
    inner_width: int
    activation: str = "gelu"
    norm_eps: float = 1e-12
    heads: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    problem: str = PROBLEMS[0]
    untied: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_positions", "n_token_types", "width", "n_layers", "n_heads", "inner_width"):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(self.width % self.n_heads == 0, "n_heads", f"a divisor of the width, {self.width}")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.norm_eps > 0, "norm_eps", "positive")
        self.require(set(self.heads) <= set(HEADS), "heads", f"some of {', '.join(HEADS)}")
        self.require(self.problem in PROBLEMS, "problem", f"one of {', '.join(PROBLEMS)}")
        is_labelled = {"sequence", "tokens"} & set(self.heads)
        self.require(
            bool(self.labels) == bool(is_labelled), "labels", "there for heads with classes, and only for them"
        )

    @property
    def block(self) -> BlockShape:
        """The shape of the blocks, normalised after each sum."""
        return BlockShape(
            width=self.width,
            n_heads=self.n_heads,
            inner_width=self.inner_width,
            activation=self.activation,
            norm_eps=self.norm_eps,
        )


def encoder_tasks(config: EncoderConfig) -> tuple[Task, ...]:
    """What an encoder with these heads can be asked."""
    by_head = {
        "masked": (FILL_MASK, SCORE_TEXT),
        "sequence": (CLASSIFY_TEXT,),
        "tokens": (CLASSIFY_TOKENS,),
        "span": (ANSWER,),
    }
    special = chain.from_iterable(by_head.get(head, ()) for head in config.heads)
    return (ENCODE_TEXT, SIMILARITY, PROJECT_TEXTS, ATTEND, *special)


class TextEncoder(TextModel):
    """The heads, and the tasks they answer. A family gives `hidden` and `word_matrix`.

    `mask_id` is the token that stands for a masked word; a checkpoint's tokenizer tells it.
    """

    mask_id: int = 0

    def __init__(self, config: EncoderConfig, embedding_width: int, masked_activation: str) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.vocab_size, self.n_positions = config.vocab_size, config.n_positions
        self.labels, self.problem = config.labels, config.problem
        needs_pooler = {"pooler", "pair", "sequence"} & set(heads)
        self.pooler = Pooler(width) if needs_pooler else None
        self.pair_head = nn.Linear(width, 2) if "pair" in heads else None
        self.sequence_head = nn.Linear(width, len(config.labels)) if "sequence" in heads else None
        self.token_head = nn.Linear(width, len(config.labels)) if "tokens" in heads else None
        self.span_head = nn.Linear(width, 2) if "span" in heads else None
        self.masked_head: MaskedLanguageHead | None = None
        if "masked" in heads:
            self.masked_head = MaskedLanguageHead(
                width, embedding_width, config.vocab_size, masked_activation, config.norm_eps, untied=config.untied
            )

    def prepare(self, special: Special, values: Mapping[str, Any]) -> None:
        """See `TextModel.prepare`."""
        if special.mask is not None:
            self.mask_id = special.mask
        elif self.masked_head is not None:
            raise CheckpointError("the tokenizer has no mask token, which a model of masked words needs")

    def word_matrix(self) -> Tensor:
        """The word embeddings `[V, E]`, which the masked-word head shares."""
        raise NotImplementedError

    def pooled(self, packed: Packed, hidden: Tensor) -> Tensor:
        """`[N, D]` to one vector a text, `[B, D]`, as given; of models with a pooler."""
        pooled: Tensor = _there(self.pooler)(packed.in_order(hidden[packed.segments.first]))
        return pooled

    def masked_logits(self, hidden: Tensor) -> Tensor:
        """`[N, D]` to `[N, V]`; of models that fill masks."""
        logits: Tensor = _there(self.masked_head)(hidden, self.word_matrix())
        return logits

    def pair_logits(self, packed: Packed, hidden: Tensor) -> Tensor:
        """`[N, D]` to whether each text's two sentences belong together or not, `[B, 2]`; of models with that head."""
        logits: Tensor = _there(self.pair_head)(self.pooled(packed, hidden))
        return logits

    def class_logits(self, texts: Sequence[t.Tokens]) -> Tensor:
        """See `TextModel.class_logits`."""
        packed, hidden = self.read(texts)
        return on_cpu(_there(self.sequence_head)(self.pooled(packed, hidden)))

    def fill_mask(self, requests: Sequence[t.FillMaskRequest]) -> list[t.FillMaskResult]:
        """The likeliest tokens at each mask."""
        packed, hidden = self.read([request.tokens for request in requests])
        logits = on_cpu(self.masked_logits(hidden[packed.rows([request.places for request in requests])]))
        parts = torch.split(logits.softmax(-1), [len(request.places) for request in requests])
        return [t.FillMaskResult(fills=_fills(*pair)) for pair in zip(requests, parts, strict=True)]

    def classify_tokens(self, requests: Sequence[t.ClassifyTokensRequest]) -> list[t.ClassifyTokensResult]:
        """Each token's classes."""
        packed, hidden = self.read([request.tokens for request in requests])
        scores = on_cpu(_there(self.token_head)(hidden)).softmax(-1)
        return [t.ClassifyTokensResult(scores=part) for part in packed.by_text(scores)]

    def answer(self, requests: Sequence[t.AnswerRequest]) -> list[t.AnswerResult]:
        """Where, in each window, an answer may begin and end."""
        windows = list(chain.from_iterable(request.windows for request in requests))
        parts = parts_of(list(map(len, windows)), MAX_TOKENS_AT_ONCE)
        spans = chain.from_iterable(self._spans(windows[part]) for part in parts)
        return [t.AnswerResult(spans=tuple(next(spans) for _ in request.windows)) for request in requests]

    def _spans(self, windows: Sequence[t.Tokens]) -> Iterable[Tensor]:
        """Of each, `[T, 2]`."""
        packed, hidden = self.read(windows)
        return packed.by_text(on_cpu(_there(self.span_head)(hidden)))

    def score_text(self, requests: Sequence[t.ScoreTextRequest]) -> list[t.ScoreTextResult]:
        """The pseudo-log-likelihood: each token's log-probability where it alone is masked.

        Source: Salazar et al. 2020, equation 1.
        """
        results: list[t.ScoreTextResult] = []
        for request in requests:
            places = [place for place, text in enumerate(request.tokens.details().texts) if text is not None]
            log_probs = self._masked_one_by_one(request.tokens, places) if places else torch.empty(0)
            results.append(t.ScoreTextResult(places=places, log_probs=log_probs))
        return results

    def attend(self, requests: Sequence[t.AttendRequest]) -> list[t.AttendResult]:
        """What each token sees, layer by layer and head by head."""
        packed = self.pack([request.tokens for request in requests])
        witness = Witnessed(packed.segments)
        self.hidden(packed, witness)
        return [
            t.AttendResult(attention=chosen((layer[place] for layer in witness.weights), request))
            for request, place in zip(requests, packed.places, strict=True)
        ]

    def _masked_one_by_one(self, tokens: t.Tokens, places: list[int]) -> Tensor:
        """The log-probabilities of the tokens at `places`; a few copies of the text at a time, to bound the memory."""
        log_probs: list[Tensor] = []
        for part in parts_of([len(tokens)] * len(places), MAX_MASKED_TOKENS):
            some = places[part]
            packed, hidden = self.read([self._masked(tokens, place) for place in some])
            at_masks = hidden[packed.rows([[place] for place in some])]
            of_all = on_cpu(self.masked_logits(at_masks)).log_softmax(-1)
            log_probs.append(of_all[range(len(some)), torch.from_numpy(tokens.ids[some])])
        return torch.cat(log_probs)

    def _masked(self, tokens: t.Tokens, place: int) -> t.Tokens:
        ids = tokens.ids.copy()
        ids[place] = self.mask_id
        return replace(tokens, ids=ids)


def _there(module: ModuleT | None) -> ModuleT:
    if module is None:
        raise NotImplementedError("this model was built without the head of this task")
    return module


def _fills(request: t.FillMaskRequest, probs: Tensor) -> tuple[tuple[t.Fill, ...], ...]:
    """Of `[n_masks, V]`."""
    names = torch.tensor(request.targets) if request.targets is not None else torch.arange(probs.shape[1])
    scores, ranks = probs[:, names].topk(min(request.top_k, len(names)))
    return tuple(
        tuple(t.Fill(int(names[rank]), score) for rank, score in zip(*pair, strict=True))
        for pair in zip(ranks.tolist(), scores.tolist(), strict=True)
    )

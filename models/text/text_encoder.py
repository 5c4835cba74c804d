"""Bidirectional encoders of text: what BERT, RoBERTa and ALBERT have in common.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of one, `D` width, `V` vocabulary.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.codecs.text import SpecialTokens
from models.errors import CheckpointError
from models.family import TaskFunction, methods_of
from models.layers.heads import MaskedLanguageHead, Pooler
from models.ops.cooperation import split_by_tokens
from models.ops.devices import to_cpu
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
from models.tasks.text import (
    AnswerRequest,
    AnswerResult,
    AttendRequest,
    AttendResult,
    ClassifyTokensRequest,
    ClassifyTokensResult,
    Fill,
    FillMaskRequest,
    FillMaskResult,
    ScoreTextRequest,
    ScoreTextResult,
    Tokens,
)
from models.text.attention_patterns import RecordedAttention
from models.text.attention_weights import selected_weights
from models.text.encoder_config import EncoderConfig
from models.text.ragged_batch import RaggedBatch
from models.text.text_model import MAX_TOKENS_AT_ONCE, TextModel

ModuleT = TypeVar("ModuleT", bound=nn.Module)


MAX_MASKED_TOKENS = 4096
"""Of the copies of one text that are scored at once."""


def encoder_tasks(config: EncoderConfig) -> Mapping[Task, TaskFunction]:
    """What an encoder with these heads can be asked."""
    by_head = {
        "masked": (FILL_MASK, SCORE_TEXT),
        "sequence": (CLASSIFY_TEXT,),
        "tokens": (CLASSIFY_TOKENS,),
        "span": (ANSWER,),
    }
    special = chain.from_iterable(by_head.get(head, ()) for head in config.heads)
    return methods_of(ENCODE_TEXT, SIMILARITY, PROJECT_TEXTS, ATTEND, *special)


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

    def prepare(self, special: SpecialTokens, values: Mapping[str, Any]) -> None:
        """See `TextModel.prepare`."""
        if special.mask is not None:
            self.mask_id = special.mask
        elif self.masked_head is not None:
            raise CheckpointError("the tokenizer has no mask token, which a model of masked words needs")

    def word_matrix(self) -> Tensor:
        """The word embeddings `[V, E]`, which the masked-word head shares."""
        raise NotImplementedError

    def pooled(self, packed: RaggedBatch, hidden: Tensor) -> Tensor:
        """`[N, D]` to one vector a text, `[B, D]`, as given; of models with a pooler."""
        pooled: Tensor = _there(self.pooler)(packed.in_order(hidden[packed.segments.first]))
        return pooled

    def masked_logits(self, hidden: Tensor) -> Tensor:
        """`[N, D]` to `[N, V]`; of models that fill masks."""
        logits: Tensor = _there(self.masked_head)(hidden, self.word_matrix())
        return logits

    def pair_logits(self, packed: RaggedBatch, hidden: Tensor) -> Tensor:
        """`[N, D]` to whether each text's two sentences belong together or not, `[B, 2]`; of models with that head."""
        logits: Tensor = _there(self.pair_head)(self.pooled(packed, hidden))
        return logits

    def class_logits(self, texts: Sequence[Tokens]) -> Tensor:
        """See `TextModel.class_logits`."""
        packed, hidden = self.read(texts)
        return to_cpu(_there(self.sequence_head)(self.pooled(packed, hidden)))

    def fill_mask(self, requests: Sequence[FillMaskRequest]) -> list[FillMaskResult]:
        """The likeliest tokens at each mask."""
        packed, hidden = self.read([request.tokens for request in requests])
        logits = to_cpu(self.masked_logits(hidden[packed.rows([request.places for request in requests])]))
        parts = torch.split(logits.softmax(-1), [len(request.places) for request in requests])
        return [FillMaskResult(fills=_fills(*pair)) for pair in zip(requests, parts, strict=True)]

    def classify_tokens(self, requests: Sequence[ClassifyTokensRequest]) -> list[ClassifyTokensResult]:
        """Each token's classes."""
        packed, hidden = self.read([request.tokens for request in requests])
        scores = to_cpu(_there(self.token_head)(hidden)).softmax(-1)
        return [ClassifyTokensResult(scores=part) for part in packed.by_text(scores)]

    def answer(self, requests: Sequence[AnswerRequest]) -> list[AnswerResult]:
        """Where, in each window, an answer may begin and end."""
        windows = list(chain.from_iterable(request.windows for request in requests))
        parts = split_by_tokens(list(map(len, windows)), MAX_TOKENS_AT_ONCE)
        spans = chain.from_iterable(self._spans(windows[part]) for part in parts)
        return [AnswerResult(spans=tuple(next(spans) for _ in request.windows)) for request in requests]

    def _spans(self, windows: Sequence[Tokens]) -> Iterable[Tensor]:
        """Of each, `[T, 2]`."""
        packed, hidden = self.read(windows)
        return packed.by_text(to_cpu(_there(self.span_head)(hidden)))

    def score_text(self, requests: Sequence[ScoreTextRequest]) -> list[ScoreTextResult]:
        """The pseudo-log-likelihood: each token's log-probability where it alone is masked.

        Source: Salazar et al. 2020, equation 1.
        """
        results: list[ScoreTextResult] = []
        for request in requests:
            places = [place for place, text in enumerate(request.tokens.details().texts) if text is not None]
            log_probs = self._masked_one_by_one(request.tokens, places) if places else torch.empty(0)
            results.append(ScoreTextResult(places=places, log_probs=log_probs))
        return results

    def attend(self, requests: Sequence[AttendRequest]) -> list[AttendResult]:
        """What each token sees, layer by layer and head by head."""
        packed = self.pack([request.tokens for request in requests])
        witness = RecordedAttention(packed.segments)
        self.hidden(packed, witness)
        return [
            AttendResult(attention=selected_weights((layer[place] for layer in witness.weights), request))
            for request, place in zip(requests, packed.places, strict=True)
        ]

    def _masked_one_by_one(self, tokens: Tokens, places: list[int]) -> Tensor:
        """The log-probabilities of the tokens at `places`; a few copies of the text at a time, to bound the memory."""
        log_probs: list[Tensor] = []
        for part in split_by_tokens([len(tokens)] * len(places), MAX_MASKED_TOKENS):
            some = places[part]
            packed, hidden = self.read([self._masked(tokens, place) for place in some])
            at_masks = hidden[packed.rows([[place] for place in some])]
            of_all = to_cpu(self.masked_logits(at_masks)).log_softmax(-1)
            log_probs.append(of_all[range(len(some)), torch.from_numpy(tokens.ids[some])])
        return torch.cat(log_probs)

    def _masked(self, tokens: Tokens, place: int) -> Tokens:
        ids = tokens.ids.copy()
        ids[place] = self.mask_id
        return replace(tokens, ids=ids)


def _there(module: ModuleT | None) -> ModuleT:
    if module is None:
        raise NotImplementedError("this model was built without the head of this task")
    return module


def _fills(request: FillMaskRequest, probs: Tensor) -> tuple[tuple[Fill, ...], ...]:
    """Of `[n_masks, V]`."""
    names = torch.tensor(request.targets) if request.targets is not None else torch.arange(probs.shape[1])
    scores, ranks = probs[:, names].topk(min(request.top_k, len(names)))
    return tuple(
        tuple(Fill(int(names[rank]), score) for rank, score in zip(*pair, strict=True))
        for pair in zip(ranks.tolist(), scores.tolist(), strict=True)
    )

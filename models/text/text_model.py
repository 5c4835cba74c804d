"""What all Transformers share: how a batch of texts goes through, and the tasks that need no head.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of one, `D` width.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from models.codecs.text.codec import Special
from models.errors import InvalidItems, Problem
from models.family import Model
from models.layers.attention import SelfAttention
from models.layers.weight_derived_cache import WeightDerivedCache
from models.ops.attention import fits_block_attention
from models.ops.cooperation import split_by_tokens
from models.ops.cuda_graphs import are_recorded
from models.ops.linear import has_project_kernels
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.results import project, rank
from models.seeding import seeded
from models.tasks import Task
from models.tasks.autoencoding import ClassifyRequest, ClassifyResult, ProjectResult
from models.tasks.text import (
    AnswerRequest,
    ClassifyTextRequest,
    EncodeTextRequest,
    EncodeTextResult,
    EncodeTextResults,
    FillMaskRequest,
    GenerateRequest,
    Pooling,
    ProjectTextsRequest,
    SimilarityRequest,
    SimilarityResult,
    Tokens,
)
from models.text.attention_patterns import WithinTexts
from models.text.encoder_graphs import EncoderGraphs
from models.text.pooling import PoolingChoice, embeddings_of, pooled
from models.text.ragged_batch import RaggedBatch
from models.text.tokens import tokens_of_ids

EXAMPLE_LENGTH, MAX_RANDOM_LENGTH = 6, 64


ONEDNN_STEP = 16
"""Where products are oneDNN's, rows of tokens are multiples of this: it makes and keeps a kernel for each length."""


MAX_TOKENS_AT_ONCE = 2**14
"""Of one request about several texts; more are read a part at a time."""


class TextModel(WeightDerivedCache, Model):
    """A family gives `hidden`; the rest follows.

    `n_positions` is the longest text, in tokens. `pooling` and `normalize` say how `/encode` makes one vector of a
    text's; a checkpoint of a sentence encoder brings its own. `problem` is what a sequence head was trained for.
    """

    causal = False
    vocab_size: int
    n_positions: int
    pooling: Pooling = "mean"
    normalize = False
    problem: str = "single_label_classification"

    def prepare(self, special: Special, values: Mapping[str, Any]) -> None:
        """Take from the checkpoint's tokenizer and `config.json` what the model needs beyond its configuration.

        Raises:
            CheckpointError: it is not there, or not of its type.
        """
        return

    @cached_property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @cached_property
    def runs_on_kernels(self) -> bool:
        """Whether its products are the project's own."""
        return has_project_kernels(next(self.parameters()))

    @cached_property
    def passes(self) -> EncoderGraphs | None:
        """Recordings of `hidden`, on a GPU that has a kernel for attention with heads of this width."""
        heads = [module.head_width for module in self.modules() if isinstance(module, SelfAttention)]
        weight = next(self.parameters())
        is_able = fits_block_attention(weight, max(heads, default=0))
        return EncoderGraphs(weight.device, causal=self.causal) if is_able else None

    @override
    def clear_derived(self) -> None:
        super().clear_derived()
        for name in ("device", "runs_on_kernels", "passes"):
            self.__dict__.pop(name, None)

    def hidden(self, packed: RaggedBatch, attend: AttentionPattern) -> Tensor:
        """The last hidden states `[N, D]` of the row's tokens, which see one another as `attend` says."""
        raise NotImplementedError

    def pack(self, texts: Sequence[Tokens]) -> RaggedBatch:
        """Texts as one row, where the weights are.

        Raises:
            InvalidItems: see `check`.
        """
        self.check(texts)
        uses_onednn = self.device.type == "cpu" and not self.runs_on_kernels
        return RaggedBatch.of(texts, self.device, step=ONEDNN_STEP if uses_onednn else 1)

    def check(self, texts: Sequence[Tokens]) -> None:
        """Whether the model can read them.

        Raises:
            InvalidItems: a text is empty, or is longer than the model's context.
        """
        problems = [
            Problem(f"the text has {len(text)} tokens; this model takes 1 to {self.n_positions}", place)
            for place, text in enumerate(texts)
            if not 1 <= len(text.ids) <= self.n_positions
        ]
        if problems:
            raise InvalidItems(*problems)

    def read(self, texts: Sequence[Tokens]) -> tuple[RaggedBatch, Tensor]:
        """Texts as one row, and its last hidden states `[N, D]`; errors as `pack`."""
        packed = self.pack(texts)
        return packed, self.passed(packed)

    def passed(self, packed: RaggedBatch) -> Tensor:
        """The last hidden states `[N, D]` of texts that see themselves; on a GPU perhaps recorded."""
        passes = self.recording(packed.segments)
        if passes is not None:
            return passes.hidden(packed, self.hidden)
        return self.hidden(packed, WithinTexts(packed.segments, causal=self.causal))

    def recording(self, segments: Segments) -> EncoderGraphs | None:
        """What records passes over such texts; None where they are not."""
        is_wanted = are_recorded(self.device) and not self.training and EncoderGraphs.take(segments)
        return self.passes if is_wanted else None

    def states(self, texts: Sequence[Tokens]) -> list[Tensor]:
        """The last hidden states of each text, `[T, D]`, where the weights are."""
        packed, hidden = self.read(texts)
        return list(packed.by_text(hidden))

    def vectors(
        self, texts: Sequence[Tokens], pooling: Pooling | None = None, *, normalize: bool | None = None
    ) -> Tensor:
        """One vector a text, `[B, D]`, on the CPU in float32; pooled and normalised as the checkpoint says if None."""
        is_unit = self.normalize if normalize is None else normalize
        manner = PoolingChoice(pooling or self.pooling, None, is_unit)
        parts = split_by_tokens(list(map(len, texts)), MAX_TOKENS_AT_ONCE)
        return torch.cat([pooled(*self.read(texts[part]), manner) for part in parts])

    def encode(self, requests: Sequence[EncodeTextRequest]) -> Sequence[EncodeTextResult]:
        """One vector a text, or one a token.

        Raises:
            InvalidItems: more `dimensions` than there are.
        """
        packed, hidden = self.read([request.tokens for request in requests])
        alike: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            alike[request.pooling, request.dimensions, request.normalize].append(place)
        parts = [(self._manner(requests[places[0]], hidden.shape[-1]), places) for places in alike.values()]
        (manner, _), *others = parts
        if not others and manner.pooling != "none":
            return EncodeTextResults(pooled(packed, hidden, manner).numpy())
        embeddings: dict[int, Tensor] = {}
        for manner, places in parts:
            embeddings |= zip(places, embeddings_of(packed, hidden, manner, places), strict=True)
        return [EncodeTextResult(embedding=embeddings[place]) for place in range(len(requests))]

    def _manner(self, request: EncodeTextRequest, width: int) -> "PoolingChoice":
        """How a text is embedded, by the request and the checkpoint."""
        if request.dimensions is not None and not 1 <= request.dimensions <= width:
            detail = f"dimensions is {request.dimensions}; this model's embeddings have 1 to {width}"
            raise InvalidItems(Problem(detail))
        is_unit = self.normalize if request.normalize is None else request.normalize
        return PoolingChoice(request.pooling or self.pooling, request.dimensions, is_unit)

    def similarity(self, requests: Sequence[SimilarityRequest]) -> list[SimilarityResult]:
        """Cosines of embeddings."""
        texts = list(chain.from_iterable(request.texts for request in requests))
        embedded = torch.split(self.vectors(texts, normalize=True), [len(request.texts) for request in requests])
        return [SimilarityResult(scores=part[1:] @ part[0]) for part in embedded]

    def project(self, requests: Sequence[ProjectTextsRequest]) -> list[ProjectResult]:
        """Texts as points in a plane fitted to their embeddings."""
        texts = list(chain.from_iterable(request.texts for request in requests))
        parts = torch.split(self.vectors(texts), [len(request.texts) for request in requests])
        return [project(part, request.method) for part, request in zip(parts, requests, strict=True)]

    def classify(self, requests: Sequence[ClassifyTextRequest]) -> list[ClassifyResult]:
        """The classes of texts; only models with a sequence head declare this task."""
        logits = self.class_logits([request.tokens for request in requests])
        default = _FUNCTIONS.get(self.problem, "softmax")
        asked = [
            ClassifyRequest(item=row, top_k=request.top_k, function_to_apply=request.function_to_apply or default)
            for request, row in zip(requests, logits.unbind(), strict=True)
        ]
        return [rank(self.labels, request.item, request) for request in asked]

    def class_logits(self, texts: Sequence[Tokens]) -> Tensor:
        """`[B, n_labels]` on the CPU in float32."""
        raise NotImplementedError

    def random_codes(self, n: int) -> Tensor:
        """See `Model.random_codes`."""
        draw = seeded(n)
        lengths = torch.randint(1, 1 + min(MAX_RANDOM_LENGTH, self.n_positions - 2), (n,), generator=draw).tolist()
        return self.vectors(
            [tokens_of_ids(torch.randint(self.vocab_size, (length,), generator=draw).tolist()) for length in lengths]
        )

    def example_tokens(self) -> Tokens:
        """Some of the vocabulary."""
        length = min(EXAMPLE_LENGTH, self.n_positions - 2)
        return tokens_of_ids([place * 7 % self.vocab_size for place in range(1, 1 + length)])

    def example(self, task: Task) -> Any:
        """A small valid request."""
        tokens = self.example_tokens()
        arguments: dict[type, dict[str, Any]] = {
            FillMaskRequest: {"tokens": tokens, "places": (1,)},
            AnswerRequest: {"windows": (tokens,)},
            SimilarityRequest: {"texts": (tokens, tokens)},
            ProjectTextsRequest: {"texts": (tokens, tokens)},
            GenerateRequest: {"tokens": tokens, "max_new_tokens": 2},
        }
        return task.request(**arguments.get(task.request, {"tokens": tokens}))


_FUNCTIONS: Mapping[str, Any] = {"multi_label_classification": "sigmoid", "regression": "none"}

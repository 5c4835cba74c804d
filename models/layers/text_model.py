"""What all Transformers share: how a batch of texts goes through, and the tasks that need no head.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of one, `D` width.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models import kernels
from models.codecs.text.codec import Special
from models.errors import InvalidItems, Problem
from models.family import Model
from models.kernels import gpu
from models.kernels.texts import pool
from models.layers.attention import Attending, SelfAttention, WithinTexts
from models.layers.autoencoder import seeded
from models.layers.classification import rank
from models.layers.devices import on_cpu
from models.layers.graphs import Passes, are_recorded
from models.layers.packing import Packed, Segments
from models.layers.parts import parts_of
from models.layers.projection import project
from models.layers.weights import MadeOfWeights
from models.tasks import Task
from models.tasks import text as t
from models.tasks.autoencoding import ClassifyRequest, ClassifyResult, ProjectResult

EXAMPLE_LENGTH, MAX_RANDOM_LENGTH = 6, 64
ONEDNN_STEP = 16
"""Where products are oneDNN's, rows of tokens are multiples of this: it makes and keeps a kernel for each length."""
MAX_TOKENS_AT_ONCE = 2**14
"""Of one request about several texts; more are read a part at a time."""
MAX_SHOWN_WEIGHTS = 2**22
"""Of attention, for one text: some 50 MB of JSON."""


def plain_tokens(ids: Sequence[int]) -> t.Tokens:
    """Of ids alone, as in examples: nothing is known of the text they stand for."""
    n = len(ids)
    details = t.Details(offsets=[(0, 0)] * n, texts=[0] * n, words=[None] * n)
    return t.Tokens(ids=np.array(ids, np.int64), type_ids=np.zeros(n, np.int64), details=lambda: details)


class TextModel(MadeOfWeights, Model):
    """A family gives `hidden`; the rest follows.

    `n_positions` is the longest text, in tokens. `pooling` and `normalize` say how `/encode` makes one vector of a
    text's; a checkpoint of a sentence encoder brings its own. `problem` is what a sequence head was trained for.
    """

    causal = False
    vocab_size: int
    n_positions: int
    pooling: t.Pooling = "mean"
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
        weight = next(self.parameters())
        return weight.is_cpu and kernels.multiply(weight.dtype, weight.dtype)

    @cached_property
    def passes(self) -> Passes | None:
        """Recordings of `hidden`, on a GPU that has a kernel for attention with heads of this width."""
        heads = [module.head_width for module in self.modules() if isinstance(module, SelfAttention)]
        weight = next(self.parameters())
        is_able = weight.is_cuda and max(heads, default=0) * weight.element_size() <= gpu.MAX_HEAD_BYTES
        return Passes(weight.device, causal=self.causal) if is_able else None

    def forget(self) -> None:
        """See `MadeOfWeights`."""
        for name in ("device", "runs_on_kernels", "passes"):
            self.__dict__.pop(name, None)

    def hidden(self, packed: Packed, attend: Attending) -> Tensor:
        """The last hidden states `[N, D]` of the row's tokens, which see one another as `attend` says."""
        raise NotImplementedError

    def pack(self, texts: Sequence[t.Tokens]) -> Packed:
        """Texts as one row, where the weights are.

        Raises:
            InvalidItems: see `check`.
        """
        self.check(texts)
        uses_onednn = self.device.type == "cpu" and not self.runs_on_kernels
        return Packed.of(texts, self.device, step=ONEDNN_STEP if uses_onednn else 1)

    def check(self, texts: Sequence[t.Tokens]) -> None:
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

    def read(self, texts: Sequence[t.Tokens]) -> tuple[Packed, Tensor]:
        """Texts as one row, and its last hidden states `[N, D]`; errors as `pack`."""
        packed = self.pack(texts)
        return packed, self.passed(packed)

    def passed(self, packed: Packed) -> Tensor:
        """The last hidden states `[N, D]` of texts that see themselves; on a GPU perhaps recorded."""
        passes = self.recording(packed.segments)
        if passes is not None:
            return passes.hidden(packed, self.hidden)
        return self.hidden(packed, WithinTexts(packed.segments, causal=self.causal))

    def recording(self, segments: Segments) -> Passes | None:
        """What records passes over such texts; None where they are not."""
        is_wanted = are_recorded(self.device) and not self.training and Passes.take(segments)
        return self.passes if is_wanted else None

    def states(self, texts: Sequence[t.Tokens]) -> list[Tensor]:
        """The last hidden states of each text, `[T, D]`, where the weights are."""
        packed, hidden = self.read(texts)
        return list(packed.by_text(hidden))

    def vectors(
        self, texts: Sequence[t.Tokens], pooling: t.Pooling | None = None, *, normalize: bool | None = None
    ) -> Tensor:
        """One vector a text, `[B, D]`, on the CPU in float32; pooled and normalised as the checkpoint says if None."""
        is_unit = self.normalize if normalize is None else normalize
        manner = _Manner(pooling or self.pooling, None, is_unit)
        parts = parts_of(list(map(len, texts)), MAX_TOKENS_AT_ONCE)
        return torch.cat([_pooled(*self.read(texts[part]), manner) for part in parts])

    def encode(self, requests: Sequence[t.EncodeTextRequest]) -> Sequence[t.EncodeTextResult]:
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
            return t.EncodeTextResults(_pooled(packed, hidden, manner).numpy())
        embeddings: dict[int, Tensor] = {}
        for manner, places in parts:
            embeddings |= zip(places, _embeddings(packed, hidden, manner, places), strict=True)
        return [t.EncodeTextResult(embedding=embeddings[place]) for place in range(len(requests))]

    def _manner(self, request: t.EncodeTextRequest, width: int) -> "_Manner":
        """How a text is embedded, by the request and the checkpoint."""
        if request.dimensions is not None and not 1 <= request.dimensions <= width:
            detail = f"dimensions is {request.dimensions}; this model's embeddings have 1 to {width}"
            raise InvalidItems(Problem(detail))
        is_unit = self.normalize if request.normalize is None else request.normalize
        return _Manner(request.pooling or self.pooling, request.dimensions, is_unit)

    def similarity(self, requests: Sequence[t.SimilarityRequest]) -> list[t.SimilarityResult]:
        """Cosines of embeddings."""
        texts = list(chain.from_iterable(request.texts for request in requests))
        embedded = torch.split(self.vectors(texts, normalize=True), [len(request.texts) for request in requests])
        return [t.SimilarityResult(scores=part[1:] @ part[0]) for part in embedded]

    def project(self, requests: Sequence[t.ProjectTextsRequest]) -> list[ProjectResult]:
        """Texts as points in a plane fitted to their embeddings."""
        texts = list(chain.from_iterable(request.texts for request in requests))
        parts = torch.split(self.vectors(texts), [len(request.texts) for request in requests])
        return [project(part, request.method) for part, request in zip(parts, requests, strict=True)]

    def classify(self, requests: Sequence[t.ClassifyTextRequest]) -> list[ClassifyResult]:
        """The classes of texts; only models with a sequence head declare this task."""
        logits = self.class_logits([request.tokens for request in requests])
        default = _FUNCTIONS.get(self.problem, "softmax")
        asked = [
            ClassifyRequest(item=row, top_k=request.top_k, function_to_apply=request.function_to_apply or default)
            for request, row in zip(requests, logits.unbind(), strict=True)
        ]
        return [rank(self.labels, request.item, request) for request in asked]

    def class_logits(self, texts: Sequence[t.Tokens]) -> Tensor:
        """`[B, n_labels]` on the CPU in float32."""
        raise NotImplementedError

    def random_codes(self, n: int) -> Tensor:
        """See `Model.random_codes`."""
        draw = seeded(n)
        lengths = torch.randint(1, 1 + min(MAX_RANDOM_LENGTH, self.n_positions - 2), (n,), generator=draw).tolist()
        return self.vectors(
            [plain_tokens(torch.randint(self.vocab_size, (length,), generator=draw).tolist()) for length in lengths]
        )

    def example_tokens(self) -> t.Tokens:
        """Some of the vocabulary."""
        length = min(EXAMPLE_LENGTH, self.n_positions - 2)
        return plain_tokens([place * 7 % self.vocab_size for place in range(1, 1 + length)])

    def example(self, task: Task) -> Any:
        """A small valid request."""
        tokens = self.example_tokens()
        arguments: dict[type, dict[str, Any]] = {
            t.FillMaskRequest: {"tokens": tokens, "places": (1,)},
            t.AnswerRequest: {"windows": (tokens,)},
            t.SimilarityRequest: {"texts": (tokens, tokens)},
            t.ProjectTextsRequest: {"texts": (tokens, tokens)},
            t.GenerateRequest: {"tokens": tokens, "max_new_tokens": 2},
        }
        return task.request(**arguments.get(task.request, {"tokens": tokens}))


def chosen(weights: Iterable[Tensor], request: t.AttendRequest) -> Tensor:
    """Of one `[H, Q, K]` a layer, the layers and heads that are asked for: `[layers, heads, Q, K]`, on the CPU.

    Raises:
        InvalidItems: there is no such layer or head, or the weights are too many to be shown.
    """
    by_layer = list(weights)
    layers = _places("layers", request.layers, len(by_layer))
    heads = _places("heads", request.heads, by_layer[0].shape[0])
    n_weights = len(layers) * len(heads) * by_layer[0][0].numel()
    if n_weights > MAX_SHOWN_WEIGHTS:
        advice = f"the limit is {MAX_SHOWN_WEIGHTS}: ask for fewer layers or heads"
        raise InvalidItems(Problem(f"the text has {n_weights} attention weights; {advice}"))
    return on_cpu(torch.stack([by_layer[layer][heads] for layer in layers]))


def _places(name: str, places: Sequence[int] | None, n: int) -> list[int]:
    if places is None:
        return list(range(n))
    if wrong := [place for place in places if not 0 <= place < n]:
        raise InvalidItems(Problem(f"{name} has {wrong[0]}; this model's are 0 to {n - 1}"))
    return list(places)


def _mean(hidden: Tensor, segments: Segments) -> Tensor:
    tokens = torch.arange(len(hidden), dtype=torch.int32, device=hidden.device)
    return functional.embedding_bag(tokens, hidden.float(), segments.bounds[:-1], mode="mean")


def _max(hidden: Tensor, segments: Segments) -> Tensor:
    return torch.stack([part.amax(0) for part in segments.split(hidden)])


_POOLINGS: Mapping[str, Callable[[Tensor, Segments], Tensor]] = {
    "mean": _mean,
    "cls": lambda hidden, segments: hidden[segments.first],
    "max": _max,
    "last": lambda hidden, segments: hidden[segments.last],
}

_FUNCTIONS: Mapping[str, Any] = {"multi_label_classification": "sigmoid", "regression": "none"}


class _Manner(NamedTuple):
    pooling: t.Pooling
    n_kept: int | None
    is_unit: bool


def _pooled(packed: Packed, hidden: Tensor, manner: _Manner) -> Tensor:
    """A vector a text, `[B, n_kept]`, in the order in which the texts were given; on the CPU in float32."""
    pooling, n_kept, is_unit = manner
    n_kept = n_kept or hidden.shape[1]
    if kernels.takes(hidden):
        return pool(hidden, packed.segments, packed.order, pooling, n_kept, is_unit=is_unit)
    if gpu.norms(hidden):
        return on_cpu(gpu.pool(hidden, packed.segments, packed.order, pooling, n_kept, is_unit=is_unit))
    vectors = packed.in_order(on_cpu(_POOLINGS[pooling](hidden, packed.segments)))[:, :n_kept]
    return functional.normalize(vectors, dim=-1) if is_unit else vectors


def _embeddings(packed: Packed, hidden: Tensor, manner: _Manner, places: Sequence[int]) -> list[Tensor]:
    """Of the texts at these places, all in the same manner: `[D]` each, or `[T, D]` without pooling."""
    if manner.pooling == "none":
        states = list(packed.by_text(hidden))
        kept = [on_cpu(states[place])[:, : manner.n_kept].contiguous() for place in places]
        return [functional.normalize(one, dim=-1) for one in kept] if manner.is_unit else kept
    vectors = _pooled(packed, hidden, manner)
    return list(vectors[places] if len(places) < len(vectors) else vectors)

"""The interface of all models of texts: how a batch of texts passes through the network.

Tasks are functions that take such a model; `models.text.tasks` lists them.

Shapes: `N` tokens of all texts, `B` texts, `D` width.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.codecs.text import SpecialTokens
from models.errors import InvalidItems, Problem
from models.family import Model
from models.layers.attention import SelfAttention
from models.layers.weight_derived_cache import WeightDerivedCache
from models.ops.attention import MAX_SHORT_TEXT, fits_block_attention
from models.ops.cooperation import split_by_tokens
from models.ops.cuda_graphs import uses_cuda_graphs
from models.ops.linear import has_project_kernels
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.tasks import ENCODE_TEXT, Task
from models.tasks.text import EncodeTextRequest, Tokens
from models.text.attention_patterns import WithinTexts
from models.text.embedding_settings import EmbeddingSettings
from models.text.encoder_graphs import EncoderGraphs
from models.text.examples import example_request, random_texts
from models.text.ragged_batch import RaggedBatch

ONEDNN_MULTIPLE = 16
"""Number that the tokens of a batch are a multiple of where oneDNN multiplies: it keeps a kernel for each number."""
MAX_RECORDED_TOKENS = 4096
"""Maximum number of tokens of a batch with long texts that CUDA graphs read; torch's attention is faster for more."""
MAX_TOKENS_AT_ONCE = 2**14
"""Maximum number of tokens of one request about several texts that are read together; more are read in parts."""
MAX_TOKENS_AT_ONCE_ON_CPU = 512
"""The same for a CPU, which is as fast with few tokens, and where other requests may be computed between two parts."""


class TextModel(WeightDerivedCache, Model):
    """A Transformer that reads texts. A family implements `hidden`.

    Attributes:
        causal: whether a token attends to itself and to earlier tokens only.
        vocab_size: number of token ids.
        n_positions: maximum number of tokens of a text.
        embedding: how a text's vector is made unless a request says otherwise.
        vector_steps: layers that this vector passes through after the tokens were pooled; mostly none.
        label_activation: the function that maps the logits of a text's classes to scores unless a request says
            otherwise, one of `label_activation.LABEL_ACTIVATIONS`.
    """

    causal = False
    vocab_size: int
    n_positions: int
    embedding = EmbeddingSettings()
    label_activation: str = "softmax"

    def __init__(self) -> None:
        super().__init__()
        self.vector_steps = nn.Sequential()

    def prepare(self, special: SpecialTokens, values: Mapping[str, Any]) -> None:
        """Set what the model needs of the checkpoint's tokenizer and of `config.json` beyond its configuration.

        Raises:
            CheckpointError: a value is missing or has the wrong type.
        """

    @cached_property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @cached_property
    def runs_on_kernels(self) -> bool:
        """True if the project's own kernels compute the matrix products."""
        return has_project_kernels(next(self.parameters()))

    @cached_property
    def encoder_graphs(self) -> EncoderGraphs | None:
        """CUDA graphs of `hidden`; None where there is no GPU, or no attention kernel for heads of this width."""
        head_widths = [module.head_width for module in self.modules() if isinstance(module, SelfAttention)]
        weight = next(self.parameters())
        has_kernel = fits_block_attention(weight, max(head_widths, default=0))
        return EncoderGraphs(weight.device, causal=self.causal) if has_kernel else None

    @override
    def clear_derived(self) -> None:
        super().clear_derived()
        for name in ("device", "runs_on_kernels", "encoder_graphs"):
            self.__dict__.pop(name, None)

    @abstractmethod
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        """Return the last hidden states `[N, D]` of the batch's tokens, which attend to one another by `attention`."""

    def class_logits(self, texts: Sequence[Tokens]) -> Tensor:
        """Return the logits of each text's classes, `[B, n_labels]`, on the CPU in float32.

        Raises:
            InvalidItems: a text is empty or too long.
            NotImplementedError: the model was built without a sequence head.
        """
        raise NotImplementedError

    def check_lengths(self, texts: Sequence[Tokens]) -> None:
        """Raise InvalidItems, which names each of these texts that is empty or has more than `n_positions` tokens."""
        problems = [
            Problem(f"the text has {len(text)} tokens; this model takes 1 to {self.n_positions}", index)
            for index, text in enumerate(texts)
            if not 1 <= len(text.ids) <= self.n_positions
        ]
        if problems:
            raise InvalidItems(*problems)

    def batch_of(self, texts: Sequence[Tokens]) -> RaggedBatch:
        """Return the texts as a batch on the device of the weights.

        Raises:
            InvalidItems: a text is empty or too long.
        """
        self.check_lengths(texts)
        uses_onednn = self.device.type == "cpu" and not self.runs_on_kernels
        return RaggedBatch.of_texts(texts, self.device, multiple=ONEDNN_MULTIPLE if uses_onednn else 1)

    def read(self, texts: Sequence[Tokens]) -> tuple[RaggedBatch, Tensor]:
        """Return the texts as a batch, and its last hidden states `[N, D]`.

        Raises:
            InvalidItems: a text is empty or too long.
        """
        batch = self.batch_of(texts)
        return batch, self.last_hidden(batch)

    def last_hidden(self, batch: RaggedBatch) -> Tensor:
        """Return the last hidden states `[N, D]` of texts that attend to themselves, by a CUDA graph where it pays."""
        graphs = self.graphs_for(batch.segments)
        if graphs is not None:
            return graphs.hidden(batch, self.hidden)
        return self.hidden(batch, WithinTexts(batch.segments, causal=self.causal))

    def graphs_for(self, segments: Segments) -> EncoderGraphs | None:
        """Return the CUDA graphs to read texts of these lengths with; None where none are to be used."""
        if not uses_cuda_graphs(self.device) or self.training:
            return None
        is_faster = max(segments.lengths) <= MAX_SHORT_TEXT or sum(segments.lengths) <= MAX_RECORDED_TOKENS
        return self.encoder_graphs if is_faster else None

    @override
    def random_codes(self, n: int) -> Tensor:
        texts = random_texts(n, self.vocab_size, self.n_positions)
        requests = [EncodeTextRequest(tokens=text, sparse=False) for text in texts]
        return torch.stack([result.embedding for result in self.run(ENCODE_TEXT, requests)])

    @override
    def example(self, task: Task) -> Any:
        return example_request(task, self.vocab_size, self.n_positions)


def read_in_parts(model: TextModel, texts: Sequence[Tokens]) -> Iterator[tuple[RaggedBatch, Tensor]]:
    """Read texts in parts of at most `tokens_at_once` tokens, and yield what `TextModel.read` returns of each.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    for part in split_by_tokens(list(map(len, texts)), tokens_at_once(model)):
        yield model.read(texts[part])


def tokens_at_once(model: TextModel, on_gpu: int | None = None) -> int:
    """Return how many tokens of one request a model reads at once: `on_gpu`, or `MAX_TOKENS_AT_ONCE`, on a GPU."""
    most = MAX_TOKENS_AT_ONCE if on_gpu is None else on_gpu
    return most if model.device.type == "cuda" else min(most, MAX_TOKENS_AT_ONCE_ON_CPU)

"""Bidirectional encoders of texts: the heads that these families have in common.

Shapes: `N` tokens of all texts, `B` texts, `D` width, `V` vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn
from typing_extensions import override

from models.codecs.text import SpecialTokens
from models.errors import CheckpointError
from models.layers.embeddings import TextEmbeddings
from models.layers.heads import MaskedLanguageHead, Pooler
from models.ops.devices import to_cpu
from models.tasks import SCORE_TEXT, Task
from models.tasks.text import Tokens
from models.text.encoder_config import EncoderConfig
from models.text.ragged_batch import RaggedBatch
from models.text.text_model import TextModel

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class TextEncoder(TextModel):
    """A bidirectional encoder with the heads of its configuration.

    A family implements `hidden`, and adds `embeddings` or overrides `word_matrix`.

    Attributes:
        embeddings: the embeddings of words, positions and token types.
        mask_id: id of the token that stands for a masked word, set by the checkpoint's tokenizer.
        pooler, pair_head, sequence_head, token_head, span_head, masked_head: None where the model was built without.
    """

    embeddings: TextEmbeddings
    mask_id: int = 0

    def __init__(
        self, config: EncoderConfig, embedding_width: int, masked_activation: str, pooler_activation: str = "tanh"
    ) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.vocab_size, self.n_positions = config.vocab_size, config.n_positions
        self.labels, self.label_activation = config.labels, config.label_activation
        needs_pooler = {"pooler", "pair", "sequence"} & set(heads)
        self.pooler = Pooler(width, pooler_activation) if needs_pooler else None
        self.pair_head = nn.Linear(width, 2) if "pair" in heads else None
        self.sequence_head = nn.Linear(width, len(config.labels)) if "sequence" in heads else None
        self.token_head = nn.Linear(width, len(config.labels)) if "tokens" in heads else None
        self.span_head = nn.Linear(width, 2) if "span" in heads else None
        self.masked_head: MaskedLanguageHead | None = None
        if "masked" in heads:
            self.masked_head = MaskedLanguageHead(
                width, embedding_width, config.vocab_size, masked_activation, config.norm_eps, untied=config.untied
            )

    @override
    def prepare(self, special: SpecialTokens, values: Mapping[str, Any]) -> None:
        if special.mask is not None and special.mask < self.vocab_size:
            self.mask_id = special.mask
        elif self.masked_head is not None:
            raise CheckpointError("the tokenizer has no mask token, which a model of masked words needs")

    @override
    def cost_of(self, task: Task, request: Any) -> int:
        """Return the tokens that a request adds to a batch; to score a text, it is read once for each of its tokens."""
        cost = super().cost_of(task, request)
        return cost * cost if task is SCORE_TEXT else cost

    def word_matrix(self) -> Tensor:
        """Return the word embeddings `[V, E]`, which the masked language head shares."""
        return self.embeddings.words.weight

    def pooler_output(self, batch: RaggedBatch, hidden: Tensor) -> Tensor:
        """Return the pooler's vector of each text, `[B, D]`, in the order in which the texts were given.

        The hidden states are `[N, D]`.

        Raises:
            NotImplementedError: the model was built without a pooler.
        """
        firsts = hidden[batch.segments.first][batch.inverse_order]
        vectors: Tensor = required(self.pooler)(firsts)
        return vectors

    def masked_logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the words at masks, `[n, V]`, from the hidden states there, `[n, D]`.

        Raises:
            NotImplementedError: the model was built without a masked language head.
        """
        logits: Tensor = required(self.masked_head)(hidden, self.word_matrix())
        return logits

    def pair_logits(self, batch: RaggedBatch, hidden: Tensor) -> Tensor:
        """Return the logits of whether the two parts of each text belong together or not, `[B, 2]`.

        The hidden states are `[N, D]`.

        Raises:
            NotImplementedError: the model was built without a pair head.
        """
        logits: Tensor = required(self.pair_head)(self.pooler_output(batch, hidden))
        return logits

    def token_logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the classes of tokens, `[N, n_labels]`, from their hidden states, `[N, D]`.

        Raises:
            NotImplementedError: the model was built without a token head.
        """
        logits: Tensor = required(self.token_head)(hidden)
        return logits

    @override
    def class_logits(self, texts: Sequence[Tokens]) -> Tensor:
        batch, hidden = self.read(texts)
        return to_cpu(required(self.sequence_head)(self.pooler_output(batch, hidden)))


def required(head: ModuleT | None) -> ModuleT:
    """Return the head, or raise NotImplementedError if the model was built without it."""
    if head is None:
        raise NotImplementedError("this model was built without the head of this task")
    return head

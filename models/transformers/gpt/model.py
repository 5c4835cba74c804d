"""GPT-2: a causal Transformer.

Shapes: `N` tokens of all texts, `B` texts, `D` width, `V` vocabulary.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from typing_extensions import override

from models.generation.decoder_only import DecoderOnly
from models.layers.block import Block
from models.ops.blocks import transformer_blocks
from models.ops.devices import to_cpu
from models.ops.patterns import AttentionPattern
from models.tasks.text import Tokens
from models.transformers.gpt.config import GptConfig


class Gpt(DecoderOnly):
    """Word and position embeddings, then blocks, then a last norm. Source: Radford et al. 2019, section 2.3.

    Logits are by the word embeddings unless the model has a matrix for them. With labels, the last token of a text is
    classified by a linear head.
    """

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.vocab_size = self.output_vocab_size = config.vocab_size
        self.n_positions, self.generates = config.n_positions, config.continues
        self.labels, self.label_activation, self.padding_id = config.labels, config.label_activation, config.padding_id
        self.words = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.n_positions, config.width)
        self.dropout = nn.Dropout(0.0)  # training sets the probability
        self.blocks = nn.ModuleList(Block(config.block, scale_of=config.scale_of) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        has_matrix = config.untied and config.continues
        self.decoder = nn.Linear(config.width, config.vocab_size, bias=False) if has_matrix else None
        n_labels = len(config.labels)
        self.sequence_head = nn.Linear(config.width, n_labels, bias=False) if n_labels else None

    @override
    def forward(self, token_ids: Tensor, positions: Tensor, attention: AttentionPattern) -> Tensor:
        x = self.dropout(self.words(token_ids) + self.positions(positions))
        normalised: Tensor = self.norm(transformer_blocks(self.blocks, x, attention))
        return normalised

    @override
    def logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.tied_logits(hidden, self.words.weight) if self.decoder is None else self.decoder(hidden)
        return logits

    @override
    def tied_embeddings(self) -> Tensor | None:
        return self.words.weight if self.decoder is None else None

    @override
    def class_logits(self, texts: Sequence[Tokens]) -> Tensor:
        if self.sequence_head is None:
            raise NotImplementedError("this model was built without labels")
        batch, hidden = self.read(texts)
        classified = [[_last_token(text, self.padding_id)] for text in texts]
        return to_cpu(self.sequence_head(hidden[batch.token_rows(classified)]))


def _last_token(text: Tokens, padding_id: int) -> int:
    """Return the position of the last token that is no padding; 0 if there is none."""
    if text.ids[-1] != padding_id:
        return len(text.ids) - 1
    places = (text.ids != padding_id).nonzero()[0]
    return int(places[-1]) if len(places) else 0

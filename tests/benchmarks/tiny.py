"""Shapes of checkpoints with which a benchmark takes no time."""

from benchmarks.lib.checkpoints import Shape
from models.transformers.bert.config import BertConfig
from models.transformers.gpt.config import GptConfig

VOCAB_SIZE = 40
_ENCODER = Shape(
    "transformers/bert",
    BertConfig(
        vocab_size=VOCAB_SIZE,
        n_positions=256,
        n_token_types=2,
        width=16,
        n_layers=1,
        n_heads=2,
        inner_width=16,
        heads=("pooler",),
    ),
)
_DECODER = Shape(
    "transformers/gpt",
    GptConfig(vocab_size=VOCAB_SIZE, n_positions=128, width=16, n_layers=1, n_heads=2, inner_width=16),
)
TINY = {"minilm": _ENCODER, "bert-base": _ENCODER, "gpt2": _DECODER}

"""Shapes with which a benchmark takes no time."""

from benchmarks.lib.checkpoints import Shape
from models.transformers.bert.config import BertConfig
from models.transformers.gpt.config import GptConfig

TINY = {
    "minilm": Shape(
        "transformers/bert",
        BertConfig(
            vocab_size=40,
            n_positions=256,
            n_token_types=2,
            width=16,
            n_layers=1,
            n_heads=2,
            inner_width=16,
            heads=("pooler",),
        ),
    ),
    "gpt2": Shape(
        "transformers/gpt",
        GptConfig(vocab_size=40, n_positions=128, width=16, n_layers=1, n_heads=2, inner_width=16),
    ),
}

"""DistilBERT: BERT with half of the layers, and without types of tokens."""

from typing import Any

from models.family import FamilySpec
from models.text.tasks import encoder_tasks
from models.transformers.distilbert.checkpoint import PUBLISHED
from models.transformers.distilbert.config import DistilBertConfig
from models.transformers.distilbert.model import DistilBert
from models.transformers.distilbert.tokenizer import TOKENIZER

_TINY: dict[str, Any] = {
    "vocab_size": 60,
    "n_positions": 24,
    "width": 12,
    "n_layers": 2,
    "n_heads": 3,
    "inner_width": 20,
}

FAMILY = FamilySpec(
    id="transformers/distilbert",
    title="DistilBERT",
    paper="Sanh et al., DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter, 2019",
    config=DistilBertConfig,
    build=DistilBert,
    tasks=encoder_tasks,
    tiny=(
        DistilBertConfig(**_TINY, heads=("masked",)),
        DistilBertConfig(**_TINY, heads=("sequence",), labels=("a", "b", "c")),
        DistilBertConfig(**_TINY, heads=("tokens",), labels=("O", "B-X", "I-X")),
        DistilBertConfig(**_TINY, heads=("span",)),
        DistilBertConfig(**_TINY),
    ),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
)

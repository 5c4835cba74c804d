"""ALBERT: BERT with fewer parameters, which layers share."""

from typing import Any

from models.family import FamilySpec
from models.text.tasks import encoder_tasks
from models.transformers.albert.checkpoint import PUBLISHED
from models.transformers.albert.config import AlbertConfig
from models.transformers.albert.model import Albert
from models.transformers.albert.tokenizer import TOKENIZER

_TINY: dict[str, Any] = {
    "vocab_size": 60,
    "n_positions": 24,
    "n_token_types": 2,
    "width": 12,
    "n_layers": 2,
    "n_heads": 3,
    "inner_width": 20,
    "embedding_width": 7,
}

FAMILY = FamilySpec(
    id="transformers/albert",
    title="ALBERT",
    paper="Lan et al., ALBERT: A Lite BERT for Self-supervised Learning of Language Representations, 2020",
    config=AlbertConfig,
    build=Albert,
    tasks=encoder_tasks,
    tiny=(
        AlbertConfig(**_TINY, heads=("pooler", "pair", "masked")),
        AlbertConfig(**_TINY, heads=("pooler", "sequence"), labels=("a", "b"), n_groups=2, blocks_per_group=2),
        AlbertConfig(**_TINY),
    ),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
)

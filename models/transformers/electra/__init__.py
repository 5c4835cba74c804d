"""ELECTRA: the network of BERT, trained to tell replaced tokens from original ones."""

from typing import Any

from models.family import FamilySpec
from models.text.tasks import encoder_tasks
from models.transformers.electra.checkpoint import PUBLISHED
from models.transformers.electra.config import REPLACED_LABELS, ElectraConfig
from models.transformers.electra.model import Electra
from models.transformers.electra.tokenizer import TOKENIZER

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
    id="transformers/electra",
    title="ELECTRA",
    paper="Clark et al., ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators, 2020",
    config=ElectraConfig,
    build=Electra,
    tasks=encoder_tasks,
    tiny=(
        ElectraConfig(**_TINY, heads=("masked",)),
        ElectraConfig(**_TINY, heads=("replaced",), labels=REPLACED_LABELS),
        ElectraConfig(**_TINY, heads=("sequence",), labels=("a", "b", "c")),
        ElectraConfig(**_TINY, heads=("tokens",), labels=("O", "B-X", "I-X")),
        ElectraConfig(**_TINY, heads=("span",)),
        ElectraConfig(**{**_TINY, "embedding_width": 12}),
    ),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
)

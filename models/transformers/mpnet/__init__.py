"""MPNet: the network of BERT, whose attention also depends on the distance between two tokens."""

from typing import Any

from models.family import FamilySpec
from models.text.tasks import encoder_tasks
from models.transformers.mpnet.checkpoint import PUBLISHED
from models.transformers.mpnet.config import MpnetConfig
from models.transformers.mpnet.model import Mpnet
from models.transformers.mpnet.tokenizer import TOKENIZER

_TINY: dict[str, Any] = {
    "vocab_size": 60,
    "n_positions": 26,
    "width": 12,
    "n_layers": 2,
    "n_heads": 3,
    "inner_width": 20,
}

FAMILY = FamilySpec(
    id="transformers/mpnet",
    title="MPNet",
    paper="Song et al., MPNet: Masked and Permuted Pre-training for Language Understanding, 2020",
    config=MpnetConfig,
    build=Mpnet,
    tasks=encoder_tasks,
    tiny=(
        MpnetConfig(**_TINY, heads=("masked",)),
        MpnetConfig(**_TINY, heads=("pooler", "sequence"), labels=("a", "b", "c")),
        MpnetConfig(**_TINY, heads=("tokens",), labels=("O", "B-X", "I-X")),
        MpnetConfig(**_TINY, heads=("span",)),
        MpnetConfig(**_TINY),
    ),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
)

"""RoBERTa: the network of BERT, pretrained longer and on masked words alone. XLM-RoBERTa and CamemBERT are of it."""

from typing import Any

from models.family import FamilySpec
from models.text.tasks import encoder_tasks
from models.transformers.roberta.checkpoint import PUBLISHED
from models.transformers.roberta.config import RobertaConfig
from models.transformers.roberta.model import Roberta
from models.transformers.roberta.tokenizer import TOKENIZER, VARIANTS

_TINY: dict[str, Any] = {
    "vocab_size": 60,
    "n_positions": 26,
    "n_token_types": 1,
    "width": 12,
    "n_layers": 2,
    "n_heads": 3,
    "inner_width": 20,
}

FAMILY = FamilySpec(
    id="transformers/roberta",
    title="RoBERTa",
    paper="Liu et al., RoBERTa: A Robustly Optimized BERT Pretraining Approach, 2019",
    config=RobertaConfig,
    build=Roberta,
    tasks=encoder_tasks,
    tiny=(
        RobertaConfig(**_TINY, heads=("masked",)),
        RobertaConfig(**_TINY, heads=("pooler", "sequence"), labels=("a", "b", "c")),
        RobertaConfig(**_TINY),
    ),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
    variants=VARIANTS,
)

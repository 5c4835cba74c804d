"""BERT: a bidirectional encoder of texts and of pairs of texts."""

from typing import Any

from models.family import FamilySpec
from models.text.tasks import encoder_tasks
from models.transformers.bert.checkpoint import PUBLISHED
from models.transformers.bert.config import BertConfig
from models.transformers.bert.model import Bert
from models.transformers.bert.tokenizer import TOKENIZER

_TINY: dict[str, Any] = {
    "vocab_size": 60,
    "n_positions": 24,
    "n_token_types": 2,
    "width": 12,
    "n_layers": 2,
    "n_heads": 3,
    "inner_width": 20,
}

FAMILY = FamilySpec(
    id="transformers/bert",
    title="BERT",
    paper="Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019",
    config=BertConfig,
    build=Bert,
    tasks=encoder_tasks,
    tiny=(
        BertConfig(**_TINY, heads=("pooler", "pair", "masked")),
        BertConfig(**_TINY, heads=("pooler", "sequence"), labels=("a", "b", "c")),
        BertConfig(**_TINY, heads=("tokens",), labels=("O", "B-X", "I-X")),
        BertConfig(**_TINY, heads=("span",)),
        BertConfig(**_TINY),
    ),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
)

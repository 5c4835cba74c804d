"""The vanilla Transformer: an encoder reads a text, and a decoder writes another."""

from collections.abc import Mapping
from typing import Any

from models.family import FamilySpec, TaskFunction
from models.generation.encoder_decoder import show_attention
from models.generation.tasks import generate
from models.tasks import ATTEND, GENERATE, TRANSLATE, Task
from models.text.tasks import text_tasks
from models.transformers.vanilla.checkpoint import PUBLISHED
from models.transformers.vanilla.config import VanillaTransformerConfig
from models.transformers.vanilla.model import VanillaTransformer
from models.transformers.vanilla.tokenizer import TOKENIZER

_TINY: dict[str, Any] = {
    "vocab_size": 60,
    "target_vocab_size": 60,
    "n_positions": 24,
    "width": 12,
    "n_encoder_layers": 2,
    "n_decoder_layers": 1,
    "n_encoder_heads": 3,
    "n_decoder_heads": 2,
    "encoder_inner_width": 20,
    "decoder_inner_width": 18,
    "start_id": 2,
    "end_ids": (0,),
    "suppressed_ids": (2,),
}


def _tasks(config: VanillaTransformerConfig) -> Mapping[Task, TaskFunction]:
    if not config.translates:
        return text_tasks()
    return {**text_tasks(), ATTEND: show_attention, GENERATE: generate, TRANSLATE: generate}


FAMILY = FamilySpec(
    id="transformers/vanilla",
    title="Transformer",
    paper="Vaswani et al., Attention Is All You Need, 2017",
    config=VanillaTransformerConfig,
    build=VanillaTransformer,
    tasks=_tasks,
    tiny=(
        VanillaTransformerConfig(**_TINY),
        VanillaTransformerConfig(**_TINY, positions="learned", norm_first=True, shared=False),
    ),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
)

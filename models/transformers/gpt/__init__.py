"""GPT: a text, continued token by token."""

from collections.abc import Mapping
from typing import Any

from models.family import FamilySpec, TaskFunction, methods_of
from models.tasks import (
    ATTEND,
    CLASSIFY_TEXT,
    ENCODE_TEXT,
    GENERATE,
    PROJECT_TEXTS,
    SCORE_TEXT,
    SIMILARITY,
    Task,
)
from models.transformers.gpt.checkpoint import PUBLISHED
from models.transformers.gpt.config import GptConfig
from models.transformers.gpt.model import Gpt
from models.transformers.gpt.tokenizer import TOKENIZER

_TINY: dict[str, Any] = {
    "vocab_size": 60,
    "n_positions": 24,
    "width": 12,
    "n_layers": 2,
    "n_heads": 3,
    "inner_width": 20,
}


def _tasks(config: GptConfig) -> Mapping[Task, TaskFunction]:
    by_head = (GENERATE, SCORE_TEXT) * config.continues + (CLASSIFY_TEXT,) * bool(config.labels)
    return methods_of(ENCODE_TEXT, SIMILARITY, PROJECT_TEXTS, ATTEND, *by_head)


FAMILY = FamilySpec(
    id="transformers/gpt",
    title="GPT-2",
    paper="Radford et al., Language Models are Unsupervised Multitask Learners, 2019",
    config=GptConfig,
    build=Gpt,
    tasks=_tasks,
    tiny=(GptConfig(**_TINY), GptConfig(**_TINY, continues=False, labels=("a", "b"))),
    modality="text",
    published=PUBLISHED,
    tokenizer=TOKENIZER,
)

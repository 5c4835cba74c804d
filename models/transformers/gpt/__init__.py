"""GPT-2: continues texts token by token."""

from collections.abc import Mapping
from typing import Any

from models.family import FamilySpec, TaskFunction
from models.generation.decoder_only import score_text
from models.generation.tasks import generate
from models.tasks import ATTEND, GENERATE, SCORE_TEXT, Task
from models.text.attention_weights import show_attention
from models.text.tasks import text_tasks
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
    tasks: dict[Task, TaskFunction] = {**text_tasks(config.labels), ATTEND: show_attention}
    if config.continues:
        tasks |= {GENERATE: generate, SCORE_TEXT: score_text}
    return tasks


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

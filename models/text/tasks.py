"""Which function answers which task of a model of texts."""

from collections.abc import Mapping

from models.family import TaskFunction
from models.tasks import (
    ANSWER,
    ATTEND,
    CLASSIFY_TEXT,
    CLASSIFY_TOKENS,
    ENCODE_TEXT,
    FILL_MASK,
    PROJECT_TEXTS,
    SCORE_TEXT,
    SIMILARITY,
    Task,
)
from models.text.answering import answer
from models.text.attention_weights import show_attention
from models.text.classification import classify, classify_tokens
from models.text.embedding import encode, project, similarity
from models.text.encoder_config import EncoderConfig
from models.text.fill_mask import fill_mask
from models.text.scoring import score_text

EMBEDDING_TASKS: Mapping[Task, TaskFunction] = {ENCODE_TEXT: encode, SIMILARITY: similarity, PROJECT_TEXTS: project}
"""Tasks of every model of texts."""
_TASKS_OF_HEADS: Mapping[str, Mapping[Task, TaskFunction]] = {
    "masked": {FILL_MASK: fill_mask, SCORE_TEXT: score_text},
    "sequence": {CLASSIFY_TEXT: classify},
    "tokens": {CLASSIFY_TOKENS: classify_tokens},
    "span": {ANSWER: answer},
}
"""Tasks of bidirectional encoders that need a head, by the head's name in `EncoderConfig.heads`."""


def encoder_tasks(config: EncoderConfig) -> Mapping[Task, TaskFunction]:
    """Return the tasks of a bidirectional encoder with the heads of its configuration."""
    tasks = {**EMBEDDING_TASKS, ATTEND: show_attention}
    for head in config.heads:
        tasks |= _TASKS_OF_HEADS.get(head, {})
    return tasks

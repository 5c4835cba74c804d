"""Which function answers which task of a model of texts."""

from collections.abc import Mapping, Sequence

from models.family import TaskFunction
from models.tasks import (
    ANSWER,
    ATTEND,
    CLASSIFY_TEXT,
    CLASSIFY_TOKENS,
    ENCODE_TEXT,
    FILL_MASK,
    PROJECT_TEXTS,
    RERANK,
    RERANK_PAIRS,
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
from models.text.reranking import rerank, rerank_pairs
from models.text.scoring import score_text

_TASKS_OF_HEADS: Mapping[str, Mapping[Task, TaskFunction]] = {
    "masked": {FILL_MASK: fill_mask, SCORE_TEXT: score_text},
    "tokens": {CLASSIFY_TOKENS: classify_tokens},
    "replaced": {CLASSIFY_TOKENS: classify_tokens},
    "span": {ANSWER: answer},
}
"""Tasks of bidirectional encoders that need a head, by the head's name in `EncoderConfig.heads`."""


def text_tasks(labels: Sequence[str] = ()) -> Mapping[Task, TaskFunction]:
    """Return the tasks of every model of texts, and those of one that has these classes of whole texts.

    A single class tells how well a pair of texts fits; with none or several, candidates are ranked by their vectors.
    """
    tasks: dict[Task, TaskFunction] = {ENCODE_TEXT: encode, SIMILARITY: similarity, PROJECT_TEXTS: project}
    tasks |= {RERANK_PAIRS: rerank_pairs} if len(labels) == 1 else {RERANK: rerank}
    return {**tasks, CLASSIFY_TEXT: classify} if labels else tasks


def encoder_tasks(config: EncoderConfig) -> Mapping[Task, TaskFunction]:
    """Return the tasks of a bidirectional encoder with the heads of its configuration."""
    tasks = {**text_tasks(config.labels if "sequence" in config.heads else ()), ATTEND: show_attention}
    for head in config.heads:
        tasks |= _TASKS_OF_HEADS.get(head, {})
    return tasks

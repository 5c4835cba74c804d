"""What was understood of a checkpoint of texts: the settings that decide its answers, in plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.checkpoint.common import Checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.family import Model
from models.generation.generator import Generator
from models.text.text_model import TextModel


@dataclass(frozen=True, kw_only=True)
class TextDescription:
    """The settings of a loaded model of texts.

    Attributes:
        tokenizer_class: the tokenizer class of `transformers` whose rules apply; empty if the folder names none.
        has_token_types: whether the tokens of the second text of a pair have another type than those of the first.
        embedding_width: the number of elements of a text's vector.
        pooling: how the vectors of a text's tokens become one; several ways are concatenated.
        normalize: whether this vector is scaled to unit length.
        similarity: how two vectors are compared.
        prompts: the prompts by their names.
        default_prompt_name: the name of the prompt of requests that choose none.
        label_activation: the function that maps logits of classes to scores; None for models without classes.
        generation_defaults: the values of parameters of generation that requests leave out, by name.
    """

    tokenizer_class: str
    has_token_types: bool
    embedding_width: int
    pooling: tuple[str, ...]
    normalize: bool
    similarity: str
    prompts: Mapping[str, str]
    default_prompt_name: str | None
    label_activation: str | None
    generation_defaults: Mapping[str, Any]


def describe_text_model(checkpoint: Checkpoint, model: Model) -> TextDescription | None:
    """Return the settings of a model that was loaded from a checkpoint; None unless it is one of texts."""
    if not isinstance(checkpoint, PublishedCheckpoint) or not isinstance(model, TextModel):
        return None
    codec, embedding = checkpoint.codec, model.embedding
    sparse = () if embedding.sparse is None else (f"splade_{embedding.sparse.strategy}",)
    return TextDescription(
        tokenizer_class=codec.encoding.class_name,
        has_token_types=codec.encoding.has_types,
        embedding_width=checkpoint.embedding_width,
        pooling=sparse or embedding.poolings,
        normalize=embedding.normalize,
        similarity=embedding.similarity,
        prompts=codec.prompts.by_name,
        default_prompt_name=codec.prompts.default,
        label_activation=model.label_activation if model.labels else None,
        generation_defaults=model.generation_defaults.preferred() if isinstance(model, Generator) else {},
    )

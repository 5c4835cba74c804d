"""Which pipeline a request means: the one in its path, or the one that its body and the model allow.

A model may serve several pipelines, and a client posts all of them to the same URL. Of those that the model serves and
that take inputs of this form, the first in `PIPELINES` is meant that has all fields and parameters that are given, and
that the inputs suit; else the first that has them; else the first. For a client that accepts nothing but images,
`image-to-image` comes first. So, for a model that serves both, a text with a mask is for `fill-mask` and another one
for `feature-extraction`; and a model with classes classifies texts and images, unless parameters of another pipeline
are given or the client wants an image.
"""

from collections.abc import Mapping
from typing import Any

from app.errors import Fault, InvalidRequest, TaskNotServed, UnknownRoute
from app.routes.huggingface.generation import TEXT_GENERATION
from app.routes.huggingface.pictures import IMAGE_CLASSIFICATION, IMAGE_TO_IMAGE
from app.routes.huggingface.pipeline import Pipeline
from app.routes.huggingface.texts import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    TRANSLATION,
)
from models.checkpoint import Checkpoint

PIPELINES = (
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TOKEN_CLASSIFICATION,
    TEXT_CLASSIFICATION,
    TRANSLATION,
    TEXT_GENERATION,
    FILL_MASK,
    FEATURE_EXTRACTION,
    IMAGE_CLASSIFICATION,
    IMAGE_TO_IMAGE,
)
"""All pipelines: before others that take the same inputs, those that a model was trained for."""
SENTENCES = frozenset({FEATURE_EXTRACTION, SENTENCE_SIMILARITY})
"""Pipelines that every encoder of texts serves, whatever it was trained for."""


def pipelines_of(checkpoint: Checkpoint) -> list[Pipeline]:
    """Return the pipelines that a model serves, first the ones that it was trained for."""
    served = [pipeline for pipeline in PIPELINES if pipeline.is_served_by(checkpoint)]
    return sorted(served, key=lambda pipeline: pipeline in SENTENCES)


def named_pipeline(name: str, checkpoint: Checkpoint) -> Pipeline:
    """Return the pipeline of this name.

    Raises:
        UnknownRoute: there is none.
        TaskNotServed: the model does not serve it.
    """
    pipeline = next((each for each in PIPELINES if each.name == name), None)
    if pipeline is None:
        known = ", ".join(each.name for each in PIPELINES)
        raise UnknownRoute(404, f"no pipeline is named {name[:100]!r}; there are: {known}")
    if not pipeline.is_served_by(checkpoint):
        served = ", ".join(each.name for each in pipelines_of(checkpoint)) or "none"
        raise TaskNotServed(f"{checkpoint.name} does not serve {name}; it serves {served}")
    return pipeline


def choose_pipeline(values: Mapping[str, Any], checkpoint: Checkpoint, *, wants_picture: bool) -> Pipeline:
    """Return the pipeline that a body means.

    Raises:
        TaskNotServed: the model serves none.
        InvalidRequest: the inputs are those of none that the model serves.
    """
    served = [pipeline for pipeline in PIPELINES if pipeline.is_served_by(checkpoint)]
    if not served:
        raise TaskNotServed(f"{checkpoint.name} serves no pipeline: its items are {checkpoint.modality}")
    inputs = values.get("inputs")
    fitting = [pipeline for pipeline in served if pipeline.takes(inputs)]
    if not fitting:
        forms = "; ".join(f"{pipeline.name} takes {pipeline.form}" for pipeline in served)
        raise InvalidRequest.of([Fault("/inputs", f"no pipeline of {checkpoint.name} takes such inputs: {forms}")])
    fitting.sort(key=lambda pipeline: pipeline.is_picture != wants_picture)
    knowing = [pipeline for pipeline in fitting if pipeline.knows_fields(values)]
    suited = [pipeline for pipeline in knowing if pipeline.suits(inputs, checkpoint)]
    return (suited or knowing or fitting)[0]

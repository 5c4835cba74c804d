"""`/reconstruct`: map items to latents and back."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import (
    Answer,
    Item,
    ItemInputParameters,
    ItemOutputParameters,
    ItemsBody,
    Parameters,
    Seed,
)
from app.schemas.shared.examples import AS_PNG, EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import decode_items, decode_sentences, render_item, render_sentence, stack_items
from app.schemas.shared.memory import of_items, of_sentences
from app.schemas.shared.sounds import (
    Sound,
    SoundInputParameters,
    decode_sounds,
    of_sounds,
    render_sound,
    stack_sounds,
)
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import RECONSTRUCT, RECONSTRUCT_SENTENCE, RECONSTRUCT_SOUND, Request
from models.tasks.audio import ReconstructSoundRequest, ReconstructSoundResult
from models.tasks.autoencoding import ReconstructRequest, ReconstructResult
from models.tasks.sentences import ReconstructSentenceResult


class ReconstructParameters(ItemInputParameters, ItemOutputParameters):
    """Parameters of `/reconstruct`."""

    seed: Seed | None = Field(
        None,
        description="Seed to draw the latent from the posterior; only for models that have one. Each item has a draw "
        "of its own, by its place in `inputs`. Nothing is drawn if omitted.",
    )


class ReconstructOutput(BaseModel):
    """The reconstruction of one item."""

    reconstruction: Item = Field(description="The reconstruction: numbers of the item's shape, or a `data:` URL.")
    mse: float = Field(description="Mean squared error over the elements of the item, as the model normalises them.")
    mae: float = Field(description="Mean absolute error over the elements of the item, as the model normalises them.")


class ReconstructBody(ItemsBody):
    """Request body of `/reconstruct`."""

    parameters: ReconstructParameters = Field(ReconstructParameters(), description="Parameters of the task.")


class ReconstructAnswer(Answer):
    """Answer of `/reconstruct`."""

    outputs: list[ReconstructOutput] = Field(description="The reconstructions, in the order of the inputs.")


def _requests(body: ReconstructBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = decode_items(body, codecs, limits, any_length=True)
    return [ReconstructRequest(item=item, seed=body.parameters.seed, index=i) for i, item in enumerate(items)]


def _outputs(
    results: Sequence[ReconstructResult], requests: Sequence[Any], body: ReconstructBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {
            "reconstruction": render_item(result.reconstruction, body.parameters, codecs, index),
            "mse": result.mse,
            "mae": result.mae,
        }
        for index, result in enumerate(results)
    ]


SCHEMA = TaskSchema(
    task=RECONSTRUCT,
    body=ReconstructBody,
    answer=ReconstructAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_items(1),
    array=lambda results, body, codecs: stack_items([result.reconstruction for result in results], codecs),
    row=itemgetter("reconstruction"),
    has_series_rows=True,
    n_numbers=lambda results: sum(result.reconstruction.numel() for result in results),
    takes_images=True,
    answers_images=True,
)


class ReconstructSoundParameters(SoundInputParameters, ItemOutputParameters):
    """Parameters of `/reconstruct` for sounds."""


class ReconstructSoundOutput(BaseModel):
    """The reconstruction of one sound."""

    reconstruction: Sound = Field(description="The reconstruction: its samples, or a `data:` URL.")
    mse: float = Field(description="Mean squared error over the samples.")
    mae: float = Field(description="Mean absolute error over the samples.")


class ReconstructSoundBody(ItemsBody):
    """Request body of `/reconstruct` for sounds."""

    parameters: ReconstructSoundParameters = Field(ReconstructSoundParameters(), description="Parameters of the task.")


class ReconstructSoundAnswer(Answer):
    """Answer of `/reconstruct` for sounds."""

    outputs: list[ReconstructSoundOutput] = Field(description="The reconstructions, in the order of the inputs.")


def _sound_requests(body: ReconstructSoundBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    bandwidth = body.parameters.bandwidth
    return [ReconstructSoundRequest(sound=sound, bandwidth=bandwidth) for sound in decode_sounds(body, codecs, limits)]


def _sound_outputs(
    results: Sequence[ReconstructSoundResult], requests: Sequence[Any], body: ReconstructSoundBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {
            "reconstruction": render_sound(result.sound, body.parameters, codecs),
            "mse": result.mse,
            "mae": result.mae,
        }
        for result in results
    ]


SOUND_SCHEMA = TaskSchema(
    task=RECONSTRUCT_SOUND,
    body=ReconstructSoundBody,
    answer=ReconstructSoundAnswer,
    requests=_sound_requests,
    outputs=_sound_outputs,
    estimate=of_sounds,
    array=stack_sounds,
    takes_sounds=True,
    answers_sounds=True,
)


class ReconstructSentenceParameters(Parameters):
    """Parameters of `/reconstruct` for sentences: none."""


class ReconstructSentenceOutput(BaseModel):
    """The reconstruction of one sentence."""

    reconstruction: str = Field(description="The sentence that the model writes from the latent.")
    edits: int = Field(
        description="Least number of tokens to insert, delete or replace in the reconstruction to get the sentence."
    )
    nll: float = Field(
        description="Negative log-likelihood of the sentence given its latent, in nats for each of its tokens."
    )


class ReconstructSentenceBody(ItemsBody):
    """Request body of `/reconstruct` for sentences."""

    parameters: ReconstructSentenceParameters = Field(
        ReconstructSentenceParameters(), description="Parameters of the task."
    )


class ReconstructSentenceAnswer(Answer):
    """Answer of `/reconstruct` for sentences."""

    outputs: list[ReconstructSentenceOutput] = Field(description="The reconstructions, in the order of the inputs.")


def _sentence_requests(body: ReconstructSentenceBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ReconstructRequest(item=item) for item in decode_sentences(body, codecs, limits)]


def _sentence_outputs(
    results: Sequence[ReconstructSentenceResult],
    requests: Sequence[Any],
    body: ReconstructSentenceBody,
    codecs: ModelCodecs,
) -> list[dict[str, Any]]:
    return [
        {
            "reconstruction": render_sentence(result.reconstruction, codecs),
            "edits": result.edits,
            "nll": result.nll,
        }
        for result in results
    ]


SENTENCE_SCHEMA = TaskSchema(
    task=RECONSTRUCT_SENTENCE,
    body=ReconstructSentenceBody,
    answer=ReconstructSentenceAnswer,
    requests=_sentence_requests,
    outputs=_sentence_outputs,
    estimate=of_sentences,
    takes_numbers=False,
    takes_sentences=True,
)
ENDPOINT = TaskEndpoint(
    name="reconstruct",
    summary="Encode items and decode them again",
    description="Maps items to latents or codes, and back. An item is an image, a series, a row of a table, a vector, "
    "a sentence or a sound. Returns the reconstruction of each item and how far it is from the item.",
    schemas=(SCHEMA, SOUND_SCHEMA, SENTENCE_SCHEMA),
    joint_parameters=("seed",),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG], "parameters": AS_PNG},),
)

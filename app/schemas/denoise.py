"""`/denoise`: remove noise from items."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.choices import NoiseType
from app.schemas.shared.envelope import (
    Answer,
    Item,
    ItemInputParameters,
    ItemOutputParameters,
    ItemsBody,
    Parameters,
    Seed,
    Strict,
)
from app.schemas.shared.examples import AS_PNG, SEVEN_PNG
from app.schemas.shared.items import decode_items, decode_sentences, render_item, render_sentence, stack_items
from app.schemas.shared.memory import of_items, of_sentences
from app.schemas.shared.sounds import (
    Sound,
    SoundInputParameters,
    decode_sounds,
    of_two_sounds,
    render_sound,
    stack_sounds,
)
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.errors import InvalidItems, Problem
from models.tasks import DENOISE, DENOISE_SENTENCE, DENOISE_SOUND, Request
from models.tasks.audio import DenoiseSoundRequest, DenoiseSoundResult
from models.tasks.autoencoding import DenoiseRequest, DenoiseResult, Noise
from models.tasks.sentences import DenoiseSentenceRequest, DenoiseSentenceResult, SentenceNoise

MAX_MOVED = 100
"""Maximum of `moved`."""
MAX_SNR_DB = 100
"""Maximum of `snr_db`, whose negative is the minimum."""


class NoiseParameters(Strict):
    """Noise to add to a clean item, to see how well it is removed."""

    type: NoiseType = Field(description="Kind of the noise.")
    level: float = Field(
        ge=0,
        le=1,
        description="Standard deviation of gaussian noise, as the model normalises the item; for the other kinds, the "
        "fraction of elements that they change.",
    )


class DenoiseParameters(ItemInputParameters, ItemOutputParameters):
    """Parameters of `/denoise`."""

    noise: NoiseParameters | None = Field(None, description="Noise to add to the items first; none if omitted.")
    seed: Seed | None = Field(
        None,
        description="Seed of the noise; 0 if omitted, and refused without `noise`. Each item has noise of its own, by "
        "its place in `inputs`.",
    )


class DenoiseOutput(BaseModel):
    """One item without noise. The other fields are there only if the request asks for noise to be added."""

    denoised: Item = Field(description="The item without noise.")
    noisy: Item | None = Field(None, description="The item with the added noise.")
    psnr_before: float | None = Field(None, description="Peak signal-to-noise ratio of the noisy item, in dB.")
    psnr_after: float | None = Field(None, description="Peak signal-to-noise ratio of the denoised item, in dB.")


class DenoiseBody(ItemsBody):
    """Request body of `/denoise`."""

    parameters: DenoiseParameters = Field(DenoiseParameters(), description="Parameters of the task.")


class DenoiseAnswer(Answer):
    """Answer of `/denoise`."""

    outputs: list[DenoiseOutput] = Field(description="The denoised items, in the order of the inputs.")


def _requests(body: DenoiseBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    given, seed = body.parameters.noise, body.parameters.seed
    if given is None and seed is not None:
        raise InvalidItems(Problem("nothing is drawn without noise", parameter="seed"))
    noise = Noise(given.type, given.level) if given else None
    items = decode_items(body, codecs, limits, any_length=True)
    return [DenoiseRequest(item=item, noise=noise, seed=seed or 0, index=i) for i, item in enumerate(items)]


def _outputs(
    results: Sequence[DenoiseResult], requests: Sequence[Any], body: DenoiseBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for index, result in enumerate(results):
        output = {"denoised": render_item(result.denoised, body.parameters, codecs, index)}
        if result.noisy is not None:
            output |= {
                "noisy": render_item(result.noisy, body.parameters, codecs, index),
                "psnr_before": result.psnr_before,
                "psnr_after": result.psnr_after,
            }
        outputs.append(output)
    return outputs


SCHEMA = TaskSchema(
    task=DENOISE,
    body=DenoiseBody,
    answer=DenoiseAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_items(2),
    array=lambda results, body, codecs: stack_items([result.denoised for result in results], codecs),
    row=itemgetter("denoised"),
    has_series_rows=True,
    n_numbers=lambda results: 2 * len(results) * results[0].denoised.numel(),
    takes_images=True,
    answers_images=True,
)


class DenoiseSoundParameters(SoundInputParameters, ItemOutputParameters):
    """Parameters of `/denoise` for sounds."""

    snr_db: float | None = Field(
        None,
        ge=-MAX_SNR_DB,
        le=MAX_SNR_DB,
        description="Ratio of the sound to white noise that is added to it first, in dB; none is added if omitted.",
    )
    seed: Seed | None = Field(
        None,
        description="Seed of the noise; 0 if omitted, and refused without `snr_db`. Each sound has noise of its own, "
        "by its place in `inputs`.",
    )


class DenoiseSoundOutput(BaseModel):
    """One sound without noise. The other fields are there only if the request asks for noise to be added."""

    denoised: Sound = Field(description="The sound without noise: its samples, or a `data:` URL.")
    noisy: Sound | None = Field(None, description="The sound with the added noise.")
    snr_before: float | None = Field(None, description="Ratio of the sound to the added noise, in dB.")
    snr_after: float | None = Field(
        None, description="Ratio of the sound to the difference of the denoised sound from it, in dB."
    )


class DenoiseSoundBody(ItemsBody):
    """Request body of `/denoise` for sounds."""

    parameters: DenoiseSoundParameters = Field(DenoiseSoundParameters(), description="Parameters of the task.")


class DenoiseSoundAnswer(Answer):
    """Answer of `/denoise` for sounds."""

    outputs: list[DenoiseSoundOutput] = Field(description="The denoised sounds, in the order of the inputs.")


def _sound_requests(body: DenoiseSoundBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    if parameters.snr_db is None and parameters.seed is not None:
        raise InvalidItems(Problem("nothing is drawn without snr_db", parameter="seed"))
    return [
        DenoiseSoundRequest(
            sound=sound, bandwidth=parameters.bandwidth, snr_db=parameters.snr_db, seed=parameters.seed or 0, index=i
        )
        for i, sound in enumerate(decode_sounds(body, codecs, limits))
    ]


def _sound_outputs(
    results: Sequence[DenoiseSoundResult], requests: Sequence[Any], body: DenoiseSoundBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        output = {"denoised": render_sound(result.sound, body.parameters, codecs)}
        if result.noisy is not None:
            output |= {
                "noisy": render_sound(result.noisy, body.parameters, codecs),
                "snr_before": result.snr_before,
                "snr_after": result.snr_after,
            }
        outputs.append(output)
    return outputs


SOUND_SCHEMA = TaskSchema(
    task=DENOISE_SOUND,
    body=DenoiseSoundBody,
    answer=DenoiseSoundAnswer,
    requests=_sound_requests,
    outputs=_sound_outputs,
    estimate=of_two_sounds,
    array=stack_sounds,
    takes_sounds=True,
    answers_sounds=True,
)


class SentenceNoiseParameters(Strict):
    """Noise to add to the words of a sentence, to see how well it is removed."""

    dropped: float = Field(0.0, ge=0, le=1, description="Probability of a word to be dropped; one is kept.")
    masked: float = Field(0.0, ge=0, le=1, description="Probability of a word to be replaced by the mask.")
    moved: int = Field(0, ge=0, le=MAX_MOVED, description="Largest number of places that a word moves by.")


class DenoiseSentenceParameters(Parameters):
    """Parameters of `/denoise` for sentences."""

    word_noise: SentenceNoiseParameters | None = Field(
        None, description="Noise to add to the words of the sentences first; none if omitted."
    )
    seed: Seed | None = Field(
        None,
        description="Seed of the noise; 0 if omitted, and refused without `word_noise`. Each sentence has noise of its "
        "own, by its place in `inputs`.",
    )


class DenoiseSentenceOutput(BaseModel):
    """One sentence that was put right. The other fields are there only if the request asks for noise to be added."""

    denoised: str = Field(description="The sentence that was put right.")
    noisy: str | None = Field(None, description="The sentence with the added noise.")
    edits_before: int | None = Field(
        None, description="Least number of tokens to insert, delete or replace in the noisy sentence to get the input."
    )
    edits_after: int | None = Field(None, description="The same number for the sentence that was put right.")


class DenoiseSentenceBody(ItemsBody):
    """Request body of `/denoise` for sentences."""

    parameters: DenoiseSentenceParameters = Field(DenoiseSentenceParameters(), description="Parameters of the task.")


class DenoiseSentenceAnswer(Answer):
    """Answer of `/denoise` for sentences."""

    outputs: list[DenoiseSentenceOutput] = Field(description="The sentences put right, in the order of the inputs.")


def _sentence_requests(body: DenoiseSentenceBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    given, seed = body.parameters.word_noise, body.parameters.seed
    if given is None and seed is not None:
        raise InvalidItems(Problem("nothing is drawn without word_noise", parameter="seed"))
    noise = SentenceNoise(given.dropped, given.masked, given.moved) if given else None
    items = decode_sentences(body, codecs, limits)
    return [DenoiseSentenceRequest(item=item, noise=noise, seed=seed or 0, index=i) for i, item in enumerate(items)]


def _sentence_outputs(
    results: Sequence[DenoiseSentenceResult], requests: Sequence[Any], body: DenoiseSentenceBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        output: dict[str, Any] = {"denoised": render_sentence(result.denoised, codecs)}
        if result.noisy is not None:
            output |= {
                "noisy": render_sentence(result.noisy, codecs),
                "edits_before": result.edits_before,
                "edits_after": result.edits_after,
            }
        outputs.append(output)
    return outputs


SENTENCE_SCHEMA = TaskSchema(
    task=DENOISE_SENTENCE,
    body=DenoiseSentenceBody,
    answer=DenoiseSentenceAnswer,
    requests=_sentence_requests,
    outputs=_sentence_outputs,
    estimate=of_sentences,
    takes_numbers=False,
)
ENDPOINT = TaskEndpoint(
    name="denoise",
    summary="Remove noise from items",
    description="Removes noise from items; for a trial, it can add noise to clean ones first. An item is an image, a "
    "series, a vector, a sound, or a sentence whose words are in disorder or missing. Returns each item without noise "
    "and, if noise was added, the noisy item and both qualities.",
    schemas=(SCHEMA, SOUND_SCHEMA, SENTENCE_SCHEMA),
    joint_parameters=("noise", "word_noise", "snr_db"),
    examples=(
        {
            "model": "denoising-ae-mnist",
            "inputs": [SEVEN_PNG],
            "parameters": {"noise": {"type": "gaussian", "level": 0.3}, "seed": 1, **AS_PNG},
        },
    ),
)

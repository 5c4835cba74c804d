"""`/detect-anomalies` for sounds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from app.registry.model_sizes import ModelSizes
from app.schemas.shared.anomalies import ThresholdParameters, threshold_arguments
from app.schemas.shared.envelope import Answer, ItemsBody
from app.schemas.shared.memory import RECORD_BYTES, REQUEST_BYTES
from app.schemas.shared.sounds import audio_codec, decode_sounds, of_passes
from app.schemas.shared.task_schema import ModelCodecs, TaskSchema
from models.autoencoding.drift import DriftMonitor
from models.codecs.arrays import Limits
from models.tasks import DETECT_SOUND_ANOMALIES, Request
from models.tasks.audio import DetectSoundAnomaliesRequest
from models.tasks.autoencoding import DetectAnomaliesResult

SPECTRUM_BYTES = 128
"""Bytes of the spectra of two sounds for each sample of one: windows of up to 4 frames, of which half are bins."""


class DetectSoundAnomaliesBody(ItemsBody):
    """Request body of `/detect-anomalies` for sounds."""

    parameters: ThresholdParameters = Field(ThresholdParameters(), description="Parameters of the task.")


class FrameContribution(BaseModel):
    """How much one frame of a sound contributes to its score."""

    start_s: float = Field(description="Beginning of the frame in the sound, in seconds.")
    end_s: float = Field(description="End of the frame, in seconds; that of the sound at the latest.")
    contribution: float = Field(description="The part of the score that the frame causes.")


class DetectSoundAnomaliesOutput(BaseModel):
    """The score of one sound, and which of its frames it is made of."""

    score: float = Field(description="Score of the sound; the higher, the less normal.")
    threshold: float = Field(description="Score above which a sound is an anomaly.")
    is_anomaly: bool = Field(description="Whether the score exceeds the threshold.")
    percentile: float = Field(description="Share of the held-out normal sounds, in percent, that score no higher.")
    p_value: float = Field(description="Conformal p-value of the score against the held-out normal sounds.")
    frame_s: float = Field(description="Length of a frame in seconds.")
    contributions: list[float] = Field(description="Contribution of each frame to the score; they sum to it.")
    top: list[FrameContribution] = Field(description="The largest contributions, in descending order.")


class DetectSoundAnomaliesAnswer(Answer):
    """Answer of `/detect-anomalies` for sounds."""

    outputs: list[DetectSoundAnomaliesOutput] = Field(
        description="The score of each sound, in the order of the inputs."
    )


def _requests(body: DetectSoundAnomaliesBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    arguments = threshold_arguments(body.parameters)
    return [DetectSoundAnomaliesRequest(sound=sound, **arguments) for sound in decode_sounds(body, codecs, limits)]


def _outputs(
    results: Sequence[DetectAnomaliesResult],
    requests: Sequence[DetectSoundAnomaliesRequest],
    body: DetectSoundAnomaliesBody,
    codecs: ModelCodecs,
) -> list[dict[str, Any]]:
    codec = audio_codec(codecs)
    frame_s = codec.hop / codec.sampling_rate
    outputs = []
    for request, result in zip(requests, results, strict=True):
        length_s = request.sound.shape[1] / codec.sampling_rate
        top = [
            {
                "start_s": part.index[0] * frame_s,
                "end_s": min(length_s, (part.index[0] + 1) * frame_s),
                "contribution": part.contribution,
            }
            for part in result.top
        ]
        outputs.append(
            {
                "score": result.score,
                "threshold": result.threshold,
                "is_anomaly": result.is_anomaly,
                "percentile": result.percentile,
                "p_value": result.p_value,
                "frame_s": frame_s,
                "contributions": result.contributions.numpy(),
                "top": top,
            }
        )
    return outputs


def _observe(monitor: DriftMonitor, requests: Sequence[Any], results: Sequence[DetectAnomaliesResult]) -> None:
    """Show the p-values of sounds to the monitor."""
    monitor.observe(None, np.array([result.p_value for result in results]))


def _estimate(requests: Sequence[Any], body: DetectSoundAnomaliesBody, sizes: ModelSizes) -> int:
    """Count the pass, the spectra of the sounds and of what the model makes of them, and a number for each frame."""
    n_samples: int = sum(request.cost for request in requests)
    per_sound = REQUEST_BYTES + RECORD_BYTES * body.parameters.n_top
    return of_passes(requests, body, sizes) + per_sound * len(requests) + SPECTRUM_BYTES * sizes.step * n_samples


SOUND_SCHEMA = TaskSchema(
    task=DETECT_SOUND_ANOMALIES,
    body=DetectSoundAnomaliesBody,
    answer=DetectSoundAnomaliesAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=_estimate,
    array=lambda results, body, codecs: np.array([result.score for result in results]),
    takes_sounds=True,
    observe=_observe,
)

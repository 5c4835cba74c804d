"""`/encode`: items to latents, texts to embeddings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody, Seed, TextParameters
from app.schemas.shared.examples import SEVEN_PNG
from app.schemas.shared.items import count_tokens, decode_items, stack_arrays, tokenize_inputs
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import ENCODE, ENCODE_TEXT, Request
from models.tasks.autoencoding import EncodeRequest, EncodeResult
from models.tasks.text import EncodeTextRequest, EncodeTextResult, EncodeTextResults, Pooling


class EncodeParameters(ItemInputParameters):
    """Parameters of `/encode`."""

    sample: bool = Field(False, description="Draw from the posterior; only for models that have one.")
    seed: Seed = Field(0, description="Of the drawn latent.")


class EncodeOutput(BaseModel):
    """One item's latent."""

    latent: list[Any] = Field(description="Numbers of the model's latent shape.")
    mean: list[float] | None = Field(None, description="Of the posterior, where the family has one.")
    log_variance: list[float] | None = Field(None, description="Of the posterior, where the family has one.")
    prior_score: float | None = Field(
        None, description="Where the family has a discriminator: the probability that the latent came from the prior."
    )


class EncodeBody(ItemsBody):
    """What `/encode` is asked."""

    parameters: EncodeParameters = EncodeParameters()


class EncodeAnswer(Answer):
    """What `/encode` answers."""

    outputs: list[EncodeOutput]


def _requests(body: EncodeBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    items = decode_items(body, codecs, limits)
    return [EncodeRequest(item=item, sample=parameters.sample, seed=parameters.seed) for item in items]


def _outputs(
    results: Sequence[EncodeResult], requests: Sequence[Any], body: EncodeBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [_output(result) for result in results]


def _output(result: EncodeResult) -> dict[str, Any]:
    output: dict[str, Any] = {"latent": result.latent.numpy()}
    if result.mean is not None and result.log_variance is not None:
        output |= {"mean": result.mean.numpy(), "log_variance": result.log_variance.numpy()}
    if result.prior_score is not None:
        output["prior_score"] = result.prior_score
    return output


SCHEMA = TaskSchema(
    task=ENCODE,
    body=EncodeBody,
    answer=EncodeAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: np.stack([result.latent.numpy() for result in results]),
    n_numbers=lambda results: 3 * len(results) * results[0].latent.numel(),
    takes_images=True,
)


class EncodeTextParameters(TextParameters):
    """Parameters of `/encode` for texts."""

    pooling: Pooling | None = Field(
        None, description="How one vector is made of the tokens'; the checkpoint's way if left out, `none` for all."
    )
    normalize: bool | None = Field(None, description="To unit length; as the checkpoint says if left out.")
    dimensions: int | None = Field(None, ge=1, description="How many of the first elements to keep; all if left out.")


class EncodeTextOutput(BaseModel):
    """One text's vector."""

    embedding: list[Any] = Field(description="Numbers; without pooling, a list of them for each token.")


class EncodeTextBody(ItemsBody):
    """What `/encode` is asked of texts."""

    parameters: EncodeTextParameters = EncodeTextParameters()


class EncodeTextAnswer(Answer):
    """What `/encode` answers of texts."""

    outputs: list[EncodeTextOutput]


def _text_requests(body: EncodeTextBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    return [
        EncodeTextRequest(tokens=tokens, pooling=asked.pooling, normalize=asked.normalize, dimensions=asked.dimensions)
        for tokens in tokenize_inputs(body, codecs, limits)
    ]


def _text_outputs(
    results: Sequence[EncodeTextResult], requests: Sequence[Any], body: EncodeTextBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"embedding": embedding} for embedding in _embeddings(results)]


def _embeddings(results: Sequence[EncodeTextResult]) -> NDArray[np.float32] | list[NDArray[np.float32]]:
    """Of each text; all in one array where they are the rows of one."""
    if isinstance(results, EncodeTextResults):
        return results.embeddings
    return [result.embedding.numpy() for result in results]


def _array(results: Sequence[EncodeTextResult], codecs: ModelCodecs) -> NDArray[np.float32]:
    embeddings = _embeddings(results)
    return stack_arrays(embeddings) if isinstance(embeddings, list) else embeddings


TEXT_SCHEMA = TaskSchema(
    task=ENCODE_TEXT,
    modality="text",
    body=EncodeTextBody,
    answer=EncodeTextAnswer,
    requests=_text_requests,
    outputs=_text_outputs,
    array=_array,
    n_numbers=lambda results: results.embeddings.size if isinstance(results, EncodeTextResults) else None,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="encode",
    summary="Map items to latents, texts to embeddings",
    schemas=(
        SCHEMA,
        TEXT_SCHEMA,
    ),
    examples=(
        {"model": "vae-mnist", "inputs": [SEVEN_PNG]},
        {"model": "sentence-mini-en", "inputs": ["A dog runs through the grass."]},
    ),
)

"""`/encode`: map items to latents, texts to embeddings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from app.errors import InvalidRequest
from app.schemas.shared.choices import Pooling
from app.schemas.shared.envelope import Answer, EmbeddingParameters, ItemInputParameters, ItemsBody, Seed
from app.schemas.shared.examples import SEVEN_PNG
from app.schemas.shared.items import count_tokens, decode_items, stack_arrays, tokenize_prompted_inputs
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.errors import InvalidItems, Problem
from models.tasks import ENCODE, ENCODE_TEXT, Request
from models.tasks.autoencoding import EncodeRequest, EncodeResult
from models.tasks.text import EncodeTextRequest, EncodeTextResult, EncodeTextResults


class EncodeParameters(ItemInputParameters):
    """Parameters of `/encode` for items."""

    sample: bool = Field(
        False, description="Whether to draw the latent from the posterior; only for models that have a posterior."
    )
    seed: Seed | None = Field(
        None,
        description="Sampling seed; 0 if omitted, and refused without `sample`. Each item has its own draw, by its "
        "place in `inputs`.",
    )


class EncodeOutput(BaseModel):
    """The latent of one item."""

    latent: list[Any] = Field(description="The latent: numbers of the model's latent shape.")
    mean: list[float] | None = Field(None, description="Mean of the posterior; only for models that have a posterior.")
    log_variance: list[float] | None = Field(
        None, description="Logarithm of the posterior's variance; only for models that have a posterior."
    )
    prior_score: float | None = Field(
        None,
        description="Probability, as the discriminator sees it, that the latent was drawn from the prior; only for "
        "models that have a discriminator.",
    )


class EncodeBody(ItemsBody):
    """Request body of `/encode` for items."""

    parameters: EncodeParameters = Field(EncodeParameters(), description="Parameters of the task.")


class EncodeAnswer(Answer):
    """Answer of `/encode` for items."""

    outputs: list[EncodeOutput] = Field(description="The latent of each item, in the order of the inputs.")


def _requests(body: EncodeBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    if parameters.seed is not None and not parameters.sample:
        raise InvalidItems(Problem("nothing is drawn without sample", parameter="seed"))
    items = decode_items(body, codecs, limits)
    sample, seed = parameters.sample, parameters.seed or 0
    return [EncodeRequest(item=item, sample=sample, seed=seed, index=i) for i, item in enumerate(items)]


def _outputs(
    results: Sequence[EncodeResult], requests: Sequence[Any], body: EncodeBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        output: dict[str, Any] = {"latent": result.latent.numpy()}
        if result.mean is not None and result.log_variance is not None:
            output |= {"mean": result.mean.numpy(), "log_variance": result.log_variance.numpy()}
        if result.prior_score is not None:
            output["prior_score"] = result.prior_score
        outputs.append(output)
    return outputs


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


class EncodeTextParameters(EmbeddingParameters):
    """Parameters of `/encode` for texts."""

    pooling: Pooling | None = Field(
        None,
        description="How the tokens' vectors become one: their mean, the first token's (`cls`), their maximum, the "
        "last token's, or each of them (`none`); as the checkpoint was trained if omitted.",
    )
    normalize: bool | None = Field(
        None, description="Whether to scale the embedding to unit length; as the checkpoint was trained if omitted."
    )
    dimensions: int | None = Field(
        None,
        ge=1,
        description="Number of elements of the embedding to keep, from the first; all, or as many as the checkpoint "
        "says, if omitted.",
    )
    sparse: bool | None = Field(
        None,
        description="Whether to return a sparse embedding over the vocabulary, as SPLADE does, for models that predict "
        "masked words; true for checkpoints that are made for it, and otherwise false, if omitted.",
    )


class SparseEmbedding(BaseModel):
    """An embedding over the vocabulary of which only the elements are listed that are not zero."""

    indices: list[int] = Field(description="The token ids of these elements, ascending.")
    values: list[float] = Field(description="Their values, all positive.")


class EncodeTextOutput(BaseModel):
    """The embedding of one text."""

    embedding: list[Any] | SparseEmbedding = Field(
        description="The embedding: a list of numbers; without pooling, one such list for each token; if it is sparse, "
        "an object of `indices` and `values`."
    )


class EncodeTextBody(ItemsBody):
    """Request body of `/encode` for texts."""

    parameters: EncodeTextParameters = Field(EncodeTextParameters(), description="Parameters of the task.")


class EncodeTextAnswer(Answer):
    """Answer of `/encode` for texts."""

    outputs: list[EncodeTextOutput] = Field(description="The embedding of each text, in the order of the inputs.")


def _text_requests(body: EncodeTextBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    return [
        EncodeTextRequest(
            tokens=tokens,
            pooling=parameters.pooling,
            normalize=parameters.normalize,
            dimensions=parameters.dimensions,
            sparse=parameters.sparse,
        )
        for tokens in tokenize_prompted_inputs(body, codecs, limits)
    ]


def _text_outputs(
    results: Sequence[EncodeTextResult], requests: Sequence[Any], body: EncodeTextBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    if isinstance(results, EncodeTextResults):
        return [{"embedding": embedding} for embedding in results.embeddings]
    return [{"embedding": _render_embedding(result)} for result in results]


def _render_embedding(result: EncodeTextResult) -> Any:
    if result.indices is None:
        return result.embedding.numpy()
    return {"indices": result.indices.numpy(), "values": result.embedding.numpy()}


def _array(results: Sequence[EncodeTextResult], codecs: ModelCodecs) -> NDArray[np.float32]:
    if isinstance(results, EncodeTextResults):
        return results.embeddings
    if any(result.indices is not None for result in results):
        raise InvalidRequest("sparse embeddings form no array; accept application/json, or set sparse to false")
    return stack_arrays([result.embedding.numpy() for result in results])


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
    description="Encodes items by an autoencoder, or texts by a Transformer. An item is an image, a series or a "
    "vector; or a text. Returns the latent of each item, or the embedding of each text.",
    schemas=(SCHEMA, TEXT_SCHEMA),
    joint_parameters=("sample",),
    examples=(
        {"model": "vae-mnist", "inputs": [SEVEN_PNG]},
        {"model": "sentence-mini-en", "inputs": ["A dog runs through the grass."]},
    ),
)

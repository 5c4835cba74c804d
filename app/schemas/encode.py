"""`/encode`: map items to latents, sounds to codes, texts to embeddings."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, Field

from app.errors import InvalidRequest
from app.registry.model_sizes import ModelSizes
from app.schemas.shared.choices import Pooling, VectorEncoding
from app.schemas.shared.envelope import Answer, EmbeddingParameters, ItemInputParameters, ItemsBody, Seed
from app.schemas.shared.examples import SEVEN_PNG
from app.schemas.shared.items import count_tokens, decode_items, stack_arrays, tokenize_prompted_inputs
from app.schemas.shared.memory import NUMBER_BYTES, REQUEST_BYTES, of_numbers
from app.schemas.shared.sounds import SoundInputParameters, audio_codec, decode_sounds, of_sounds
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from app.schemas.shared.vectors import join_outputs, quantize, render_vectors
from models.codecs.arrays import Limits
from models.errors import InvalidItems, Problem
from models.tasks import ENCODE, ENCODE_SOUND, ENCODE_TEXT, Request
from models.tasks.audio import EncodeSoundRequest, EncodeSoundResult
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
    mean: list[Any] | None = Field(None, description="Mean of the posterior; only for models that have a posterior.")
    log_variance: list[Any] | None = Field(
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


def _row(output: dict[str, Any]) -> dict[str, Any]:
    return {f"latent.{place}": number for place, number in enumerate(output["latent"].ravel().tolist())}


SCHEMA = TaskSchema(
    task=ENCODE,
    body=EncodeBody,
    answer=EncodeAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_numbers(
        lambda requests, body, sizes: 3 * sum(sizes.latent_of(request.item.numel()) for request in requests)
    ),
    array=lambda results, body, codecs: stack_arrays([result.latent.numpy() for result in results]),
    row=_row,
    n_numbers=lambda results: 3 * sum(result.latent.numel() for result in results),
    takes_images=True,
    takes_sentences=True,
)


class EncodeSoundParameters(SoundInputParameters):
    """Parameters of `/encode` for sounds."""


class EncodeSoundOutput(BaseModel):
    """The codes of one sound, which `/decode` takes."""

    codes: list[list[list[int]]] = Field(
        description="For each chunk of the sound, and for each codebook, the index of each frame. Models without "
        "chunks have one."
    )
    length: int = Field(description="Number of samples of the sound.")
    scales: list[float] | None = Field(
        None, description="Volume of each chunk; only for models that bring all chunks to the same volume."
    )


class EncodeSoundBody(ItemsBody):
    """Request body of `/encode` for sounds."""

    parameters: EncodeSoundParameters = Field(EncodeSoundParameters(), description="Parameters of the task.")


class EncodeSoundAnswer(Answer):
    """Answer of `/encode` for sounds."""

    outputs: list[EncodeSoundOutput] = Field(description="The codes of each sound, in the order of the inputs.")


def _sound_requests(body: EncodeSoundBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    bandwidth = body.parameters.bandwidth
    return [EncodeSoundRequest(sound=sound, bandwidth=bandwidth) for sound in decode_sounds(body, codecs, limits)]


def _sound_outputs(
    results: Sequence[EncodeSoundResult], requests: Sequence[Any], body: EncodeSoundBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [audio_codec(codecs).encode_codes(result.encoded) for result in results]


SOUND_SCHEMA = TaskSchema(
    task=ENCODE_SOUND,
    body=EncodeSoundBody,
    answer=EncodeSoundAnswer,
    requests=_sound_requests,
    outputs=_sound_outputs,
    estimate=of_sounds,
    takes_sounds=True,
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
    encoding: VectorEncoding = Field(
        "float",
        description="Form of the embedding: a list of numbers (`float`), the base64 of their bytes as little-endian "
        "float32 (`base64`), a list of integers from -127 to 127 with a `scale` to multiply them by (`int8`), 128 "
        "more than these (`uint8`), one bit for each element, 1 if it is positive, eight in a byte (`ubinary`), or 128 "
        "less than these bytes (`binary`).",
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

    embedding: list[Any] | str | SparseEmbedding = Field(
        description="The embedding: a list of numbers, or a string of base64 if asked for; without pooling, one for "
        "each token; if it is sparse, an object of `indices` and `values`."
    )
    scale: float | list[float] | None = Field(
        None,
        description="Number to multiply the elements by, after 128 is taken from those of `uint8`; without pooling, "
        "one for each token. Only for the encodings `int8` and `uint8`.",
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
    encoding = body.parameters.encoding
    if isinstance(results, EncodeTextResults):
        if encoding == "float":
            return [{"embedding": embedding} for embedding in results.embeddings]
        return render_vectors(results.embeddings, encoding)
    _check_encoding(results, encoding)
    return [_render_embedding(result, encoding) for result in results]


def _check_encoding(results: Sequence[EncodeTextResult], encoding: VectorEncoding) -> None:
    if encoding != "float" and any(result.indices is not None for result in results):
        detail = f"{encoding} is not for sparse embeddings; set sparse to false"
        raise InvalidItems(Problem(detail, parameter="encoding"))


def _render_embedding(result: EncodeTextResult, encoding: VectorEncoding) -> dict[str, Any]:
    array = result.embedding.numpy()
    if result.indices is not None:
        return {"embedding": {"indices": result.indices.numpy(), "values": array}}
    if encoding == "float":
        return {"embedding": array}
    outputs = render_vectors(array.reshape(-1, array.shape[-1]), encoding)
    return outputs[0] if array.ndim == 1 else join_outputs(outputs)


def _array(results: Sequence[EncodeTextResult], body: EncodeTextBody, codecs: ModelCodecs) -> NDArray[Any]:
    encoding = body.parameters.encoding
    if encoding == "base64":
        raise InvalidItems(Problem("base64 is for answers in JSON; accept application/json", parameter="encoding"))
    if isinstance(results, EncodeTextResults):
        array = results.embeddings
    elif any(result.indices is not None for result in results):
        raise InvalidRequest("sparse embeddings form no array; accept application/json, or set sparse to false")
    else:
        array = stack_arrays([result.embedding.numpy() for result in results])
    if encoding == "float":
        return array
    quantized, _ = quantize(array.reshape(-1, array.shape[-1]), encoding)
    return quantized.reshape(*array.shape[:-1], -1)


def _estimate_texts(requests: Sequence[EncodeTextRequest], body: EncodeTextBody, sizes: ModelSizes) -> int:
    """Count a vector for each text, or for each token without pooling; or the elements of a sparse vector."""
    parameters = body.parameters
    n_vectors = sum(request.cost for request in requests) if parameters.pooling == "none" else len(requests)
    n_numbers = n_vectors * sizes.latent
    if parameters.sparse:
        n_numbers += len(requests) * sizes.vocabulary
    return len(requests) * REQUEST_BYTES + n_numbers * NUMBER_BYTES


TEXT_SCHEMA = TaskSchema(
    task=ENCODE_TEXT,
    modality="text",
    body=EncodeTextBody,
    answer=EncodeTextAnswer,
    requests=_text_requests,
    outputs=_text_outputs,
    estimate=_estimate_texts,
    array=_array,
    n_numbers=lambda results: results.embeddings.size if isinstance(results, EncodeTextResults) else None,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="encode",
    summary="Map items to latents or codes, texts to embeddings",
    description="Encodes items by an autoencoder, or texts by a Transformer. An item is an image, a series, a vector "
    "or a sound; or a text. Returns the latent of each item, the codes of each sound, or the embedding of each text.",
    schemas=(SCHEMA, SOUND_SCHEMA, TEXT_SCHEMA),
    joint_parameters=("sample",),
    examples=(
        {"model": "vae-mnist", "inputs": [SEVEN_PNG]},
        {"model": "sentence-mini-en", "inputs": ["A dog runs through the grass."]},
    ),
)

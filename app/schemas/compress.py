"""`/compress`: turn items into streams of bytes."""

import base64
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody, Parameters
from app.schemas.shared.examples import EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import as_list, decode_items, decode_sentences, render_sentence
from app.schemas.shared.memory import of_numbers, of_sentences
from app.schemas.shared.sounds import SoundInputParameters, decode_sounds, of_sounds
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits, limit_problems
from models.errors import InvalidItems, Problem
from models.tasks import COMPRESS, COMPRESS_SENTENCES, COMPRESS_SOUND, Request
from models.tasks.audio import CompressSoundRequest, CompressSoundResult
from models.tasks.autoencoding import CompressRequest, CompressResult
from models.tasks.sentences import CompressSentencesRequest, CompressSentencesResult

DEFAULT_BITS = 8
"""Default of `bits`."""


class CompressParameters(ItemInputParameters):
    """Parameters of `/compress`."""

    bits: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Bits of each latent element before entropy coding; 8 if omitted, and refused with `lossless`.",
    )
    lossless: bool = Field(
        False,
        description="Whether no bit of the items may be lost; only for variational models of binary items.",
    )
    chain: bool = Field(
        False, description="Whether to put all items into one stream, which takes fewer bytes than one for each."
    )


class CompressOutput(BaseModel):
    """A stream, and how well it represents the items in it."""

    stream: str = Field(description="The stream in base64, which `/decompress` reads with the same model.")
    bytes: int = Field(description="Length of the stream in bytes, including the header.")
    bits_per_element: float = Field(description="Bits of the stream for each element of the items.")
    ratio: float = Field(
        description="Size of the items divided by that of the stream; an element counts 8 bits in images, else 32."
    )
    mse: float = Field(description="Mean squared error of the items that `/decompress` returns.")
    psnr: float = Field(
        description="Peak signal-to-noise ratio in dB of the items that `/decompress` returns; 100 if nothing is lost."
    )


class CompressBody(ItemsBody):
    """Request body of `/compress`."""

    parameters: CompressParameters = Field(CompressParameters(), description="Parameters of the task.")


class CompressAnswer(Answer):
    """Answer of `/compress`."""

    outputs: list[CompressOutput] = Field(
        description="A stream for each item, in the order of the inputs; a single one with `chain`."
    )


def _requests(body: CompressBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    if parameters.lossless and parameters.bits is not None:
        raise InvalidItems(Problem("latents are not rounded with lossless", parameter="bits"))
    bits = DEFAULT_BITS if parameters.bits is None else parameters.bits
    items = decode_items(body, codecs, limits)
    streams = [tuple(items)] if parameters.chain else [(item,) for item in items]
    return [CompressRequest(items=stream, bits=bits, lossless=parameters.lossless) for stream in streams]


def _outputs(
    results: Sequence[CompressResult], requests: Sequence[Any], body: CompressBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {
            "stream": base64.b64encode(result.stream).decode(),
            "bytes": len(result.stream),
            "bits_per_element": result.bits_per_element,
            "ratio": result.ratio,
            "mse": result.mse,
            "psnr": result.psnr,
        }
        for result in results
    ]


SCHEMA = TaskSchema(
    task=COMPRESS,
    body=CompressBody,
    answer=CompressAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_numbers(lambda requests, body, sizes: sum(request.cost for request in requests)),
    takes_images=True,
)


class CompressSoundParameters(SoundInputParameters):
    """Parameters of `/compress` for sounds."""


class CompressSoundOutput(BaseModel):
    """The stream of one sound."""

    stream: str = Field(description="The stream in base64.")
    bytes: int = Field(description="Size of the stream before it was written in base64.")
    kbit_per_s: float = Field(description="Kilobits of the stream for each second of the sound.")
    ratio: float = Field(description="Size of the sound in 16 bits a sample, divided by the size of the stream.")


class CompressSoundBody(ItemsBody):
    """Request body of `/compress` for sounds."""

    parameters: CompressSoundParameters = Field(CompressSoundParameters(), description="Parameters of the task.")


class CompressSoundAnswer(Answer):
    """Answer of `/compress` for sounds."""

    outputs: list[CompressSoundOutput] = Field(description="A stream for each sound, in the order of the inputs.")


def _sound_requests(body: CompressSoundBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    bandwidth = body.parameters.bandwidth
    return [CompressSoundRequest(sound=sound, bandwidth=bandwidth) for sound in decode_sounds(body, codecs, limits)]


def _sound_outputs(
    results: Sequence[CompressSoundResult], requests: Sequence[Any], body: CompressSoundBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {
            "stream": base64.b64encode(result.stream).decode(),
            "bytes": len(result.stream),
            "kbit_per_s": result.kbit_per_s,
            "ratio": result.ratio,
        }
        for result in results
    ]


SOUND_SCHEMA = TaskSchema(
    task=COMPRESS_SOUND,
    body=CompressSoundBody,
    answer=CompressSoundAnswer,
    requests=_sound_requests,
    outputs=_sound_outputs,
    estimate=of_sounds,
    takes_sounds=True,
)


class CompressSentenceParameters(Parameters):
    """Parameters of `/compress` for sentences."""

    chain: bool = Field(
        False, description="Whether to put all sentences into one stream, which takes fewer bytes than one for each."
    )


class CompressSentenceOutput(BaseModel):
    """The stream of a sentence, or with `chain` of all, from which exactly the same text is decompressed."""

    stream: str = Field(description="The stream in base64, which `/decompress` reads with the same model.")
    bytes: int = Field(description="Length of the stream in bytes, including the header.")
    text_bytes: int = Field(description="Length of the sentences in UTF-8, in bytes.")
    ratio: float = Field(description="Length of the sentences in UTF-8, divided by that of the stream.")


class CompressSentenceBody(ItemsBody):
    """Request body of `/compress` for sentences."""

    parameters: CompressSentenceParameters = Field(CompressSentenceParameters(), description="Parameters of the task.")


class CompressSentenceAnswer(Answer):
    """Answer of `/compress` for sentences."""

    outputs: list[CompressSentenceOutput] = Field(
        description="A stream for each sentence, in the order of the inputs; a single one with `chain`."
    )


def _sentence_requests(body: CompressSentenceBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = decode_sentences(body, codecs, limits)
    changed = [
        Problem(f"the text would come back as {render_sentence(item, codecs)!r}, which differs", index)
        for index, (item, given) in enumerate(zip(items, as_list(body.inputs), strict=False))
        if isinstance(given, str) and render_sentence(item, codecs) != given
    ]
    if changed:
        raise InvalidItems(*limit_problems(changed))
    streams = [tuple(items)] if body.parameters.chain else [(item,) for item in items]
    return [CompressSentencesRequest(items=stream) for stream in streams]


def _sentence_outputs(
    results: Sequence[CompressSentencesResult],
    requests: Sequence[CompressSentencesRequest],
    body: CompressSentenceBody,
    codecs: ModelCodecs,
) -> list[dict[str, Any]]:
    outputs = []
    for result, request in zip(results, requests, strict=True):
        n_text = sum(len(render_sentence(item, codecs).encode()) for item in request.items)
        outputs.append(
            {
                "stream": base64.b64encode(result.stream).decode(),
                "bytes": len(result.stream),
                "text_bytes": n_text,
                "ratio": n_text / len(result.stream),
            }
        )
    return outputs


SENTENCE_SCHEMA = TaskSchema(
    task=COMPRESS_SENTENCES,
    body=CompressSentenceBody,
    answer=CompressSentenceAnswer,
    requests=_sentence_requests,
    outputs=_sentence_outputs,
    estimate=lambda requests, body, sizes: sum(of_sentences(request.items, body, sizes) for request in requests),
    takes_numbers=False,
    takes_sentences=True,
)
ENDPOINT = TaskEndpoint(
    name="compress",
    summary="Compress items into bitstreams",
    description="Compresses items by entropy coding their quantised latents or, for some models, without loss; "
    "sounds by entropy coding their codes; and sentences without loss. An item is an image, a series, a row of a "
    "table, a vector, a sound or a sentence. Returns a stream in base64 for each item, with its size and error.",
    schemas=(SCHEMA, SOUND_SCHEMA, SENTENCE_SCHEMA),
    joint_parameters=("chain",),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG]},),
)

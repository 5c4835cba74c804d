"""`/compress`: turn items into streams of bytes."""

import base64
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody
from app.schemas.shared.examples import EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import decode_items
from app.schemas.shared.memory import of_numbers
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.errors import InvalidItems, Problem
from models.tasks import COMPRESS, Request
from models.tasks.autoencoding import CompressRequest, CompressResult

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
ENDPOINT = TaskEndpoint(
    name="compress",
    summary="Compress items into bitstreams",
    description="Compresses items by entropy coding their quantised latents or, for some models, without loss. An item "
    "is an image, a series, a row of a table or a vector. Returns a stream in base64 for each item, with its size and "
    "error.",
    schemas=(SCHEMA,),
    joint_parameters=("chain",),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG]},),
)

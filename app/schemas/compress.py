"""`/compress`: items to streams of bytes."""

import base64
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody
from app.schemas.shared.examples import EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import decode_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import COMPRESS, Request
from models.tasks.autoencoding import CompressRequest, CompressResult


class CompressParameters(ItemInputParameters):
    """Parameters of `/compress`."""

    bits: int = Field(8, ge=1, le=16, description="Of each latent element, before entropy coding.")
    lossless: bool = Field(False, description="Every bit comes back; for variational models of binary items.")
    chain: bool = Field(False, description="All items in one stream, which saves the start of all but the first.")


class CompressOutput(BaseModel):
    """One stream."""

    stream: str = Field(description="In base64, for `/decompress` with the same model.")
    bytes: int = Field(description="Length of the stream, its header included.")
    bits_per_element: float
    ratio: float = Field(description="Against 8 bits an element of an image, 32 of others.")
    mse: float = Field(description="Of what `/decompress` gives.")
    psnr: float = Field(description="Of what `/decompress` gives, in dB; 100 where nothing is lost.")


class CompressBody(ItemsBody):
    """What `/compress` is asked."""

    parameters: CompressParameters = CompressParameters()


class CompressAnswer(Answer):
    """What `/compress` answers."""

    outputs: list[CompressOutput] = Field(description="One an item, or a single one with `chain`.")


def _requests(body: CompressBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked, items = body.parameters, decode_items(body, codecs, limits)
    streams = [tuple(items)] if asked.chain else [(item,) for item in items]
    return [CompressRequest(items=stream, bits=asked.bits, lossless=asked.lossless) for stream in streams]


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
    takes_images=True,
)
ENDPOINT = TaskEndpoint(
    name="compress",
    summary="Compress items into bitstreams",
    schemas=(SCHEMA,),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG]},),
)

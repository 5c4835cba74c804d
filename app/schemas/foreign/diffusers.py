"""Query parameters and errors of the dialect of `diffusers.utils.remote_utils`, whose bodies are raw tensors."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.schemas.shared.envelope import Strict

MAX_AXES = 4
"""Most axes of a tensor."""
LEAST_FACTOR = 2.0**-126
"""Least positive number that float32 has with all its digits."""
Dtype = Annotated[
    Literal["float32", "float16", "bfloat16"],
    WithJsonSchema({"type": "string", "pattern": "^(float32|float16|bfloat16)$"}),
]
OutputType = Annotated[Literal["pil", "pt"], WithJsonSchema({"type": "string", "pattern": "^(pil|pt)$"})]
ImageFormat = Annotated[Literal["jpg", "png"], WithJsonSchema({"type": "string", "pattern": "^(jpg|png)$"})]


def _check_axes(shape: list[int]) -> list[int]:
    if len(shape) > MAX_AXES:
        raise PydanticCustomError(
            "too_many_axes",
            "a tensor has at most {limit} axes, and this one {found}",
            {"limit": MAX_AXES, "found": len(shape)},
        )
    return shape


def _check_factor(factor: float) -> float:
    if abs(factor) < LEAST_FACTOR:
        raise PydanticCustomError("zero_factor", "a factor must be other than 0 in float32")
    return factor


Shape = Annotated[
    list[Annotated[int, Field(ge=1, lt=2**31)]],
    AfterValidator(_check_axes),
    Field(json_schema_extra={"maxItems": MAX_AXES}),
]
Factor = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_check_factor)]


class RemoteError(BaseModel):
    """Answer to a request that is refused or failed."""

    error: str = Field(description="What is wrong, for people.")


class RemoteScaling(Strict):
    """Query parameters of both operations."""

    scaling_factor: Factor | None = Field(
        None,
        description="What latents are divided by before they are decoded, or multiplied by once encoded; not 0.",
    )
    shift_factor: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        None, description="What is then added to latents, or is subtracted from them before."
    )


class RemoteDecodeQuery(RemoteScaling):
    """Query parameters of decoding."""

    shape: Shape = Field(
        description="Shape of the latents, `[n, channels, height, width]`; `[n, positions, 4 channels]` if squares of "
        "2 x 2 positions are packed together, as those of FLUX are."
    )
    dtype: Dtype = Field(description="Type of the numbers of the latents.")
    do_scaling: bool = Field(
        False, description="Whether to undo the scaling by the factors in the checkpoint's `config.json`."
    )
    output_type: OutputType = Field("pil", description="Whether the answer is a picture (`pil`) or a tensor (`pt`).")
    image_format: ImageFormat = Field("jpg", description="Format of a picture that is answered.")
    partial_postprocess: bool = Field(
        False,
        description="Whether a tensor is of bytes, `[n, height, width, channels]`, and else of numbers in [-1, 1], "
        "`[n, channels, height, width]`.",
    )
    height: int | None = Field(None, ge=1, description="Pixels of a column, for packed latents.")
    width: int | None = Field(None, ge=1, description="Pixels of a row, for packed latents.")


class RemoteEncodeQuery(RemoteScaling):
    """Query parameters of encoding."""

    shape: Shape | None = Field(
        None, description="Shape of pictures that are a tensor, `[n, channels, height, width]`; none for a PNG."
    )
    dtype: Dtype | None = Field(None, description="Type of the numbers of a tensor, as for decoding; none for a PNG.")

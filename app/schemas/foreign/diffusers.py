"""Query parameters and errors of the dialect of `diffusers.utils.remote_utils`, whose bodies are raw tensors."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Strict

Shape = Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(max_length=4)]
DTYPE_PATTERN = "^(float32|float16|bfloat16)$"
"""Pattern of the types of numbers."""


class RemoteError(BaseModel):
    """Answer to a request that is refused or failed."""

    error: str = Field(description="What is wrong, for people.")


class RemoteScaling(Strict):
    """Query parameters of both operations."""

    scaling_factor: float | None = Field(
        None, description="What latents are divided by before they are decoded, or multiplied by once encoded."
    )
    shift_factor: float | None = Field(
        None, description="What is then added to latents, or is subtracted from them before."
    )


class RemoteDecodeQuery(RemoteScaling):
    """Query parameters of decoding."""

    shape: Shape = Field(
        description="Shape of the latents, `[n, channels, height, width]`; `[n, positions, 4 channels]` if squares of "
        "2 x 2 positions are packed together, as those of FLUX are."
    )
    dtype: str = Field(
        pattern=DTYPE_PATTERN, description="Type of the numbers of the latents: `float32`, `float16` or `bfloat16`."
    )
    do_scaling: bool = Field(
        False, description="Whether to undo the scaling by the factors in the checkpoint's `config.json`."
    )
    output_type: str = Field(
        "pil", pattern="^(pil|pt)$", description="Whether the answer is a picture (`pil`) or a tensor (`pt`)."
    )
    image_format: str = Field(
        "jpg", pattern="^(jpg|png)$", description="Format of a picture that is answered, `jpg` or `png`."
    )
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
    dtype: str | None = Field(
        None, pattern=DTYPE_PATTERN, description="Type of the numbers of a tensor, as for decoding; none for a PNG."
    )

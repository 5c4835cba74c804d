"""The envelope of every task: `{"model", "inputs", "parameters"}` in, `{"model", "outputs", "usage"}` out."""

import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from app.schemas.shared.choices import ImageFit, TruncationSide


class Strict(BaseModel):
    """Base of models that refuse unknown fields, so that a misspelt parameter is never silently ignored.

    Numbers must be finite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Parameters(Strict):
    """Base of a task's parameters."""


ItemFormat = TypeAliasType(
    "ItemFormat",
    Annotated[Literal["array", "png", "wav", "flac"], Field(description="How images and sounds are answered in JSON.")],
)
Item = TypeAliasType(
    "Item",
    Annotated[
        list[Any] | str | dict[str, Any],
        Field(
            description="Numbers of the item's shape, the values of a row by column, or the `data:` URL of a PNG if "
            "asked for."
        ),
    ],
)
SEED_BITS = 53
"""Number of bits of a seed. Every double has them, so that JavaScript can send back a seed that it was answered."""
Seed = Annotated[int, Field(ge=0, lt=2**SEED_BITS)]


def random_seed() -> int:
    """Return a seed for a request that has none."""
    return secrets.randbits(SEED_BITS)


class ItemInputParameters(Parameters):
    """Parameters of tasks that take items."""

    fit: ImageFit | None = Field(
        None,
        description="How an encoded image of another size is brought to the model's size: scaled to fit inside with "
        "bars in the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped "
        "(`cover`), or stretched (`stretch`). Refused if the inputs are numbers.",
    )
    invert: bool = Field(
        False,
        description="Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model "
        "of bright ink on dark paper. Refused if an input is numbers.",
    )
    centre: bool = Field(
        False,
        description="Whether to scale the ink of encoded images to the size that the model knows and to centre it by "
        "its mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is numbers.",
    )


class ItemOutputParameters(Parameters):
    """Parameters of tasks that answer with items."""

    format: ItemFormat = Field(
        "array",
        description="Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, "
        "WAV or FLAC for sounds.",
    )


class TextParameters(Parameters):
    """Parameters of tasks that read texts."""

    truncate: bool = Field(
        False,
        description="Whether to cut a text that is longer than the model's context, or to refuse it. "
        "`usage.truncated` counts those that were cut.",
    )
    truncation_side: TruncationSide | None = Field(
        None,
        description="Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint says, "
        "mostly `right`, if omitted. Only with `truncate`.",
    )


class EmbeddingParameters(TextParameters):
    """Parameters of tasks that make embeddings of texts."""

    prompt_name: str | None = Field(
        None,
        max_length=1000,
        description="Name of the prompt to put before each text, one of those that `GET /models/{id}` shows. If "
        "omitted or null, it is the model's default prompt, if it has one; if empty, there is no prompt. Items of "
        "token ids get none.",
    )


class Body(Strict):
    """Request body of a task without inputs. Each task's own body adds its `parameters`."""

    model: str | None = Field(
        None, description="Id of the model; the default model of the task and the kind of input if omitted."
    )


class ItemsBody(Body):
    """Request body of a task with inputs. Each task's own body adds its `parameters`."""

    inputs: Any = Field(description="A list of items, or a single item.")


class Usage(BaseModel):
    """Counts of what a request consumed."""

    items: int = Field(description="Number of items answered.")
    tokens: int | None = Field(None, description="Number of tokens read; missing for tasks that read no texts.")
    generated_tokens: int | None = Field(
        None, description="Number of tokens generated; missing for tasks that generate none."
    )
    truncated: int | None = Field(
        None,
        description="Number of texts, or of pairs of texts, that were cut; only if the request has `truncate`.",
    )


class InputWarning(BaseModel):
    """A warning about an input that was accepted although it seems wrong."""

    pointer: str = Field(description="JSON pointer (RFC 6901) to the input in the body.")
    detail: str = Field(description="What seems wrong, and what to do about it.")


class Answer(BaseModel):
    """Answer of a task. Each task's own answer adds its `outputs`."""

    model: str = Field(description="Id of the model that answered.")
    usage: Usage = Field(description="Counts of what the request consumed.")
    warnings: list[InputWarning] | None = Field(
        None, description="What seems wrong with the inputs; missing if nothing does."
    )


class StreamEnd(BaseModel):
    """Last event of a stream that ended well."""

    model: str = Field(description="Id of the model that answered.")
    usage: Usage = Field(description="Counts of what the request consumed.")

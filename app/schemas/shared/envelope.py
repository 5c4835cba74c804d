"""The one envelope of every task: `{"model", "inputs", "parameters"}` in, `{"model", "outputs", "usage"}` out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A model that refuses unknown fields, so that a misspelt parameter is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameters(Strict):
    """Base of a task's parameters."""


class ItemInputParameters(Parameters):
    """Parameters of tasks that take items."""

    fit: Literal["contain", "cover", "stretch"] = Field(
        "contain", description="How an encoded image of another size is resized to the model's size."
    )


class ItemOutputParameters(Parameters):
    """Parameters of tasks that answer with items."""

    format: Literal["array", "png"] = Field("array", description="Images as nested numbers or as `data:` URLs.")


class TextParameters(Parameters):
    """Parameters of tasks that read texts."""

    truncate: bool = Field(False, description="Cut texts that are longer than the model's context, at their end.")


Seed = Annotated[int, Field(ge=0, lt=2**63)]
Item = list[Any] | str


class Body(Strict):
    """Request body of a task without inputs. Each task's own body adds its `parameters`."""

    model: str | None = Field(None, description="Model id; the default model of the task if omitted.")


class ItemsBody(Body):
    """Request body of a task with inputs."""

    inputs: Any = Field(description="A list of items, or a single item.")


class Usage(BaseModel):
    """Counts of what a request consumed."""

    items: int = Field(description="Number of items answered.")
    tokens: int | None = Field(None, description="Number of tokens read.")
    generated_tokens: int | None = Field(None, description="Number of tokens generated.")


class Answer(BaseModel):
    """Answer of a task. Each task's own answer adds its `outputs`, one for each input, in order."""

    model: str = Field(description="Id of the model that answered.")
    usage: Usage

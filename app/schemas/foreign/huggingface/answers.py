"""The answers of the Hugging Face Inference API, for the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel
from typing_extensions import TypeAliasType

from app.schemas.answer import FoundAnswer
from app.schemas.classify import ScoredLabel
from app.schemas.fill_mask import MaskFill

PipelineErrorType = TypeAliasType(
    "PipelineErrorType",
    Annotated[
        Literal["generation", "overloaded", "validation"],
        Field(description="Whether the server failed, has too much work, or refuses the request."),
    ],
)


class PipelineError(BaseModel):
    """An error of the Hugging Face Inference API."""

    error: str = Field(description="What is wrong, with the place in the body, the value and the limit.")
    error_type: PipelineErrorType | None = Field(
        None, description="The kind of the error; missing if it is about the path, the method or the permission."
    )


class PipelineEntity(BaseModel):
    """A part of the text that names something."""

    entity_group: str | None = Field(None, description="Kind of the entity; missing if tokens are not joined.")
    entity: str | None = Field(None, description="Label of the token; missing if tokens are joined.")
    score: float = Field(description="Probability of the label.")
    word: str = Field(description="The part of the text.")
    start: int = Field(description="Index of its first character in the text.")
    end: int = Field(description="Index after its last character.")


class PipelineTranslation(BaseModel):
    """A translation."""

    translation_text: str = Field(description="The translation.")


PipelineFinishReason = TypeAliasType(
    "PipelineFinishReason",
    Annotated[Literal["length", "eos_token", "stop_sequence"], Field(description="Why a generated text ends.")],
)


class PipelineToken(BaseModel):
    """A generated token."""

    id: int = Field(description="Id of the token.")
    text: str = Field(description="The text of the token.")
    logprob: float = Field(description="Log-probability of the token in nats.")
    special: bool = Field(description="Whether the token is no text.")


class PipelineGenerationDetails(BaseModel):
    """The tokens of a generated text, and why it ends."""

    finish_reason: PipelineFinishReason = Field(description="Why the text ends.")
    generated_tokens: int = Field(description="Number of generated tokens, without the one that ends the text.")
    seed: int | None = Field(None, description="Sampling seed; null if nothing was sampled.")
    prefill: list[PipelineToken] = Field(description="Always empty.")
    tokens: list[PipelineToken] = Field(description="The generated tokens.")
    top_tokens: list[list[PipelineToken]] | None = Field(
        None, description="The likeliest tokens in the place of each, if the request asks for them."
    )


class PipelineGeneration(BaseModel):
    """A generated text."""

    generated_text: str = Field(description="The text.")
    details: PipelineGenerationDetails | None = Field(None, description="Its tokens, if the request asks for them.")


class PipelineOutput(
    RootModel[
        list[MaskFill]
        | list[list[MaskFill]]
        | list[list[list[MaskFill]]]
        | list[ScoredLabel]
        | list[list[ScoredLabel]]
        | list[PipelineEntity]
        | list[list[PipelineEntity]]
        | FoundAnswer
        | list[FoundAnswer]
        | list[list[FoundAnswer]]
        | list[PipelineTranslation]
        | list[PipelineGeneration]
        | list[float]
        | list[list[float]]
    ]
):
    """Answer of any pipeline but `image-to-image`, which answers with an image."""


class PipelineHealth(BaseModel):
    """Health of a model that serves."""

    status: Literal["ready"] = Field(description="State of the model.")


class PipelineInfo(BaseModel):
    """What the server knows about a model, by the names that the servers of Hugging Face use."""

    model_id: str = Field(description="Id of the model.")
    model_sha: str | None = Field(description="SHA-256 digest of the weights file.")
    model_dtype: str = Field(description="Data type that the model computes in.")
    model_device_type: str = Field(description="Device that the model runs on.")
    model_pipeline_tag: str | None = Field(description="The first of the pipelines that the model serves.")
    pipeline_tag: str | None = Field(description="The same.")
    tasks: list[str] = Field(description="The pipelines that the model serves.")
    max_input_length: int | None = Field(description="Maximum number of tokens of a text; null for images.")
    max_total_tokens: int | None = Field(description="Maximum number of tokens of a text and its continuation.")
    max_client_batch_size: int = Field(description="Maximum number of inputs of one request.")
    max_stop_sequences: int = Field(description="Maximum number of stop strings.")
    router: str = Field(description="Name of this server.")
    version: str = Field(description="Version of this server.")

"""Bodies and answers of the dialect of OpenAI."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from app.schemas.foreign.neutral import only
from app.schemas.foreign.texts import TEXTS_SCHEMA
from app.schemas.shared.choices import FinishReason
from app.schemas.shared.envelope import Body, Strict
from app.schemas.shared.generate_parameters import ShortText

MAX_STOPS = 4
"""Maximum number of stop strings."""
MAX_LOGPROBS = 5
"""Maximum number of likeliest tokens in the place of each token."""
DEFAULT_MAX_TOKENS = 16
"""Maximum number of new tokens for a body that has none."""

OpenAIEncodingFormat = TypeAliasType(
    "OpenAIEncodingFormat", Annotated[Literal["float", "base64"], Field(description="Form of embeddings.")]
)
TextsField = Annotated[Any, WithJsonSchema(TEXTS_SCHEMA)]
EMPTY_TEXT = WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 0}, {"type": "null"}]})
EMPTY_OBJECT = WithJsonSchema({"anyOf": [{"type": "object", "maxProperties": 0}, {"type": "null"}]})
Penalty = Annotated[float, Field(ge=-2, le=2)]


class OpenAIError(BaseModel):
    """What an error says."""

    message: str = Field(description="What is wrong, for people.")
    type: str = Field(description="Kind of the error, such as `invalid_request_error`.")
    param: str | None = Field(description="Field of the body that is to blame; null if none is.")
    code: str | None = Field(description="Name of the error for programs, such as `model_not_found`; mostly null.")


class OpenAIErrorAnswer(BaseModel):
    """Answer to a request that is refused or failed."""

    error: OpenAIError = Field(description="The error.")


class OpenAIEmbeddingsBody(Body):
    """Request body of `/v1/embeddings`."""

    model_config = ConfigDict(json_schema_extra={"required": ["model", "input"]})

    model: str | None = Field(None, description="Id of the model; required.")
    input: TextsField = Field(
        description="A text or a list of texts; or token ids of the model's own tokenizer, where the server's setting "
        "`openai_token_ids` allows them."
    )
    encoding_format: OpenAIEncodingFormat | None = Field(
        None, description="Form of the embeddings: numbers, or base64 of little-endian float32. Numbers if omitted."
    )
    dimensions: int | None = Field(
        None, ge=1, description="Number of elements of the embedding to keep, from the first; all if omitted."
    )
    user: str | None = Field(None, description="Name of the end user; it has no effect.")


class OpenAIEmbedding(BaseModel):
    """The embedding of one text."""

    object: Literal["embedding"] = Field(description="Kind of this object.")
    index: int = Field(description="Index of the text, from 0.")
    embedding: list[float] | str = Field(description="The embedding, of unit length.")


class OpenAIEmbeddingsUsage(BaseModel):
    """Counts of the tokens of texts."""

    prompt_tokens: int = Field(description="Number of tokens of the texts.")
    total_tokens: int = Field(description="The same number.")


class OpenAIEmbeddingsAnswer(BaseModel):
    """Answer of `/v1/embeddings`."""

    object: Literal["list"] = Field(description="Kind of this object.")
    data: list[OpenAIEmbedding] = Field(description="The embedding of each text, in the order of the input.")
    model: str = Field(description="Id of the model that answered.")
    usage: OpenAIEmbeddingsUsage = Field(description="Counts of tokens.")


class OpenAIStreamOptions(Strict):
    """Options of a stream."""

    include_usage: bool | None = Field(None, description="Whether a last chunk has the counts of tokens.")
    include_obfuscation: Annotated[bool | None, only(False, reason="chunks are not padded")] = Field(
        None, description="Whether chunks are padded to hide their length; only null and false are taken."
    )


class OpenAICompletionsBody(Body):
    """Request body of `/v1/completions`."""

    model_config = ConfigDict(json_schema_extra={"required": ["model"]})

    model: str | None = Field(None, description="Id of the model; required.")
    prompt: TextsField = Field(
        None, description="A text to continue or a list of texts; or token ids of the model's own tokenizer."
    )
    max_tokens: int | None = Field(None, ge=1, description="Maximum number of new tokens; 16 if omitted.")
    n: int | None = Field(None, ge=1, description="Number of texts for each prompt; 1 if omitted.")
    best_of: int | None = Field(None, ge=1, description="Number of texts to choose from; only `n` is taken.")
    stop: ShortText | Annotated[list[ShortText], Field(max_length=MAX_STOPS)] | None = Field(
        None, description="A string or strings that end a text where they appear, and are not part of it."
    )
    suffix: Annotated[str | None, only("", reason="texts are only continued at their end"), EMPTY_TEXT] = Field(
        None, description="Text after the inserted one; only null and the empty string are taken."
    )
    seed: int | None = Field(None, description="Sampling seed; random if omitted.")
    echo: bool | None = Field(None, description="Whether the prompt stands before the new text.")
    logprobs: int | None = Field(
        None,
        ge=0,
        le=MAX_LOGPROBS,
        description="Number of likeliest tokens to return with their log-probabilities in the place of each new token, "
        "besides that token; not with `echo`.",
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="Temperature of sampling; 0 takes the likeliest token each time. 1 if omitted."
    )
    top_p: float | None = Field(
        None, ge=0, le=1, description="Total probability of the likeliest tokens to sample from; 1 if omitted."
    )
    frequency_penalty: Penalty | None = Field(
        None, description="Number subtracted from the logit of a token for each time that it was already generated."
    )
    presence_penalty: Penalty | None = Field(
        None, description="Number subtracted from the logits of tokens that were already generated."
    )
    logit_bias: Annotated[
        dict[str, Any] | None, only({}, reason="logits of single tokens are not changed"), EMPTY_OBJECT
    ] = Field(None, description="Changes to the logits of tokens; only null and the empty object are taken.")
    user: str | None = Field(None, description="Name of the end user; it has no effect.")
    stream: bool | None = Field(
        None, description="Whether to answer with Server-Sent Events, the last of them `[DONE]`, or with whole texts."
    )
    stream_options: OpenAIStreamOptions | None = Field(None, description="Options of a stream; only with `stream`.")


class OpenAILogprobs(BaseModel):
    """The tokens of a text, those of a stop string included, with their log-probabilities."""

    tokens: list[str] = Field(description="The tokens.")
    token_logprobs: list[float] = Field(description="Log-probability of each token in nats.")
    top_logprobs: list[dict[str, float]] = Field(
        description="The likeliest tokens in the place of each token, and that token, with their log-probabilities."
    )
    text_offset: list[int] = Field(description="Index of each token's first character, from the start of the prompt.")


class OpenAIChoice(BaseModel):
    """One text; in a stream, the new part of it."""

    index: int = Field(description="Index of the text: those of the first prompt come first.")
    text: str = Field(description="The text.")
    logprobs: OpenAILogprobs | None = Field(description="Log-probabilities; null unless the request asks for them.")
    finish_reason: FinishReason | None = Field(
        description="Why the text ends: the model ended it or it met a stop string (`stop`), or a limit (`length`); "
        "null in a stream unless this is its end."
    )


class OpenAICompletionsUsage(BaseModel):
    """Counts of the tokens of prompts and of new texts."""

    prompt_tokens: int = Field(description="Number of tokens of the prompts.")
    completion_tokens: int = Field(description="Number of tokens generated.")
    total_tokens: int = Field(description="Their sum.")


class OpenAICompletionsAnswer(BaseModel):
    """Answer of `/v1/completions`; in a stream, one chunk of it."""

    id: str = Field(description="Id of the answer.")
    object: Literal["text_completion"] = Field(description="Kind of this object.")
    created: int = Field(description="Time of the answer, in seconds since 1970.")
    model: str = Field(description="Id of the model that answered.")
    choices: list[OpenAIChoice] = Field(description="The texts.")
    usage: OpenAICompletionsUsage | None = Field(
        None, description="Counts of tokens; in a stream, null or missing in all chunks but the last."
    )


class OpenAIModel(BaseModel):
    """A model, in the form of OpenAI and in that of KServe's first protocol."""

    id: str = Field(description="Id of the model.")
    object: Literal["model"] = Field(description="Kind of this object.")
    created: int = Field(
        description="Time at which the files of the model were written, in seconds since 1970; 0 if unknown."
    )
    owned_by: str = Field(description="Owner of the model: this server.")
    name: str = Field(description="Id of the model, as KServe calls it.")
    ready: bool = Field(description="Whether the model serves.")


class OpenAIModels(BaseModel):
    """Every model that the server knows."""

    object: Literal["list"] = Field(description="Kind of this object.")
    data: list[OpenAIModel] = Field(description="The models.")

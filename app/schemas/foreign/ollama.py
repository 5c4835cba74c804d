"""Bodies and answers of the dialect of Ollama."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.schemas.foreign.neutral import only
from app.schemas.shared.envelope import Body, Strict
from app.schemas.shared.generate_parameters import MAX_STOPS, ShortText

MAX_LOGPROBS = 20
"""Maximum number of likeliest tokens in the place of each token."""
_DURATION = re.compile(r"-?\d+|-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+", re.ASCII)


def _check_keep_alive(value: Any) -> Any:
    """Return a time for which a model is kept in memory. Models are kept for longer than any such time, except none."""
    is_text = isinstance(value, str)
    if value is None or (not is_text and not isinstance(value, bool) and isinstance(value, int | float) and value != 0):
        return value
    if is_text and len(value) <= 100 and _DURATION.fullmatch(value) and re.search("[1-9]", value):
        return value
    detail = "it must be a time other than 0, such as '5m' or -1; a request does not unload its model"
    raise PydanticCustomError("keep_alive", "{detail}", {"detail": detail})


KeepAlive = Annotated[
    Any,
    AfterValidator(_check_keep_alive),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}),
]
Texts = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})]
Unsupported = Annotated[Any, WithJsonSchema({"type": "null"})]


class OllamaOptions(Strict):
    """Options of a model.

    Those about memory, threads and batches are taken and have no effect: they change no answer.
    """

    numa: bool | None = Field(None, description="It has no effect.")
    num_batch: int | None = Field(None, description="It has no effect.")
    num_gpu: int | None = Field(None, description="It has no effect.")
    main_gpu: int | None = Field(None, description="It has no effect.")
    low_vram: bool | None = Field(None, description="It has no effect.")
    f16_kv: bool | None = Field(None, description="It has no effect.")
    logits_all: bool | None = Field(None, description="It has no effect.")
    vocab_only: Annotated[bool | None, only(False, reason="models are loaded whole")] = Field(
        None, description="Only null and false are taken."
    )
    use_mmap: bool | None = Field(None, description="It has no effect.")
    use_mlock: bool | None = Field(None, description="It has no effect.")
    embedding_only: bool | None = Field(None, description="It has no effect.")
    num_thread: int | None = Field(None, description="It has no effect.")
    num_keep: int | None = Field(None, description="It has no effect: texts are not shifted in the context.")
    num_ctx: int | None = Field(
        None, ge=1, description="Length of the context, which is the model's; refused if it is shorter than that."
    )
    num_predict: int | None = Field(
        None, ge=1, description="Maximum number of new tokens; the checkpoint's, else 64, if omitted."
    )
    seed: int | None = Field(None, description="Sampling seed; random if omitted or negative.")
    temperature: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Temperature of sampling; 0 takes the likeliest token each time. The checkpoint's, else 0.8, if "
        "omitted.",
    )
    top_k: int | None = Field(
        None,
        description="Number of likeliest tokens to sample from; the checkpoint's, else 40, if omitted, and all if it "
        "is 0 or less.",
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Total probability of the likeliest tokens to sample from; the checkpoint's, else 0.9, if omitted.",
    )
    min_p: float | None = Field(
        None, ge=0, le=1, description="Minimum probability of a token, as a share of that of the likeliest token."
    )
    typical_p: float | None = Field(
        None, gt=0, le=1, description="Total probability of the most typical tokens to sample from."
    )
    repeat_penalty: float | None = Field(
        None,
        ge=0.01,
        le=100,
        description="Penalty on tokens that the text already has; the checkpoint's, else 1.0, if omitted.",
    )
    repeat_last_n: int | None = Field(
        None,
        ge=-1,
        description="Number of tokens that `repeat_penalty` looks back at: -1 for all, which is done if omitted, or 0 "
        "for none. Others are refused beside a penalty.",
    )
    presence_penalty: float | None = Field(
        None, ge=-2, le=2, description="Number subtracted from the logits of tokens that were already generated."
    )
    frequency_penalty: float | None = Field(
        None,
        ge=-2,
        le=2,
        description="Number subtracted from the logit of a token for each time that it was already generated.",
    )
    penalize_newline: Annotated[bool | None, only(True, reason="line breaks are penalised as other tokens are")] = (
        Field(None, description="Only null and true are taken.")
    )
    stop: ShortText | Annotated[list[ShortText], Field(max_length=MAX_STOPS)] | None = Field(
        None, description="A string or strings that end a text where they appear, and are not part of it."
    )
    tfs_z: Annotated[float | None, only(1.0, reason="there is no tail-free sampling")] = Field(
        None, description="Only null and 1 are taken."
    )
    mirostat: Annotated[int | None, only(0, reason="there is no Mirostat sampling")] = Field(
        None, description="Only null and 0 are taken."
    )
    mirostat_tau: float | None = Field(None, description="It has no effect without `mirostat`.")
    mirostat_eta: float | None = Field(None, description="It has no effect without `mirostat`.")


class OllamaBody(Body):
    """Base of the bodies that name a model. An id may end with `:latest`."""

    model: str | None = Field(None, description="Id of the model; required.")
    keep_alive: KeepAlive = Field(
        None, description="Time for which the model is kept in memory. It has no effect; 0 is refused."
    )
    options: OllamaOptions | None = Field(None, description="Options of the model.")


class OllamaEmbedBody(OllamaBody):
    """Request body of `/api/embed`. The options of sampling have no effect."""

    input: Texts = Field(description="A text or a list of texts.")
    truncate: bool | None = Field(
        None, description="Whether the end of a text that is longer than the context is cut; true if omitted."
    )
    dimensions: int | None = Field(
        None, ge=0, description="Number of elements of the embedding to keep, from the first; all if omitted or 0."
    )


class OllamaEmbeddingsBody(OllamaBody):
    """Request body of `/api/embeddings`. The options of sampling have no effect."""

    prompt: str | None = Field(None, description="A text; if empty, the embedding is empty.")


class OllamaGenerateBody(OllamaBody):
    """Request body of `/api/generate`."""

    prompt: str | None = Field(
        None, description="A text to continue or, for an encoder-decoder, to translate; if empty, nothing is generated."
    )
    stream: bool | None = Field(None, description="Whether to answer line by line; true if omitted.")
    raw: bool | None = Field(None, description="It has no effect: prompts are not put into a template.")
    logprobs: bool | None = Field(None, description="Whether to return the log-probability of each token.")
    top_logprobs: int | None = Field(
        None,
        ge=0,
        le=MAX_LOGPROBS,
        description="Number of likeliest tokens in the place of each token; only with `logprobs`.",
    )
    suffix: Annotated[str | None, only("", reason="texts are only continued at their end")] = Field(
        None, description="Only null and the empty string are taken."
    )
    system: Annotated[str | None, only("", reason="no model here is told how to behave")] = Field(
        None, description="Only null and the empty string are taken."
    )
    template: Annotated[str | None, only("", reason="prompts are not put into a template")] = Field(
        None, description="Only null and the empty string are taken."
    )
    context: Annotated[list[Any] | None, only([], reason="earlier texts belong into the prompt")] = Field(
        None, description="Only null and the empty list are taken."
    )
    format: Annotated[Any, only("", reason="texts are not forced into a format"), WithJsonSchema({})] = Field(
        None, description="Only null and the empty string are taken."
    )
    images: Annotated[list[Any] | None, only([], reason="no model here reads images and texts")] = Field(
        None, description="Only null and the empty list are taken."
    )
    think: Annotated[bool | str | None, only(False, reason="no model here thinks first")] = Field(
        None, description="Only null and false are taken."
    )
    width: Annotated[Unsupported, only(reason="no images are generated here")] = Field(
        None, description="Only null is taken."
    )
    height: Annotated[Unsupported, only(reason="no images are generated here")] = Field(
        None, description="Only null is taken."
    )
    steps: Annotated[Unsupported, only(reason="no images are generated here")] = Field(
        None, description="Only null is taken."
    )


class OllamaShowBody(Body):
    """Request body of `/api/show`."""

    model: str | None = Field(None, description="Id of the model.")
    name: str | None = Field(None, description="The same, as older clients send it.")
    verbose: bool | None = Field(None, description="It has no effect.")


class OllamaErrorAnswer(BaseModel):
    """Answer to a request that is refused or failed."""

    error: str = Field(description="What is wrong.")


class OllamaEmbedAnswer(BaseModel):
    """Answer of `/api/embed`."""

    model: str = Field(description="Id of the model that answered.")
    embeddings: list[list[float]] = Field(description="The embedding of each text, of unit length.")
    total_duration: int = Field(description="Time that the request took, in nanoseconds.")
    load_duration: int = Field(description="Time that loading the model took: 0.")
    prompt_eval_count: int = Field(description="Number of tokens of the texts.")


class OllamaEmbeddingsAnswer(BaseModel):
    """Answer of `/api/embeddings`."""

    embedding: list[float] = Field(description="The embedding.")


class OllamaAlternative(BaseModel):
    """A token that could have been generated, and its log-probability."""

    token: str = Field(description="The token.")
    logprob: float = Field(description="Its log-probability in nats.")


class OllamaLogprob(OllamaAlternative):
    """A generated token, its log-probability, and those of the likeliest tokens in its place."""

    top_logprobs: list[OllamaAlternative] | None = Field(None, description="The likeliest tokens in its place.")


class OllamaGenerateAnswer(BaseModel):
    """Answer of `/api/generate`; in a stream, one line of it. The counts and times are only in the last line."""

    model: str = Field(description="Id of the model that answered.")
    created_at: str = Field(description="Time of the answer.")
    response: str = Field(description="The text; in a stream, the new part of it.")
    done: bool = Field(description="Whether this is the end.")
    done_reason: str | None = Field(
        None, description="Why the text ends: `stop`, `length`, or `load` where the prompt is empty."
    )
    logprobs: list[OllamaLogprob] | None = Field(None, description="The tokens, if the request asks for them.")
    total_duration: int | None = Field(None, description="Time that the request took, in nanoseconds.")
    load_duration: int | None = Field(None, description="Time that loading the model took: 0.")
    prompt_eval_count: int | None = Field(None, description="Number of tokens of the prompt.")
    eval_count: int | None = Field(None, description="Number of tokens generated.")
    eval_duration: int | None = Field(None, description="Time of inference, in nanoseconds.")

"""Bodies and answers of the dialect of Text Embeddings Inference."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from app.schemas.foreign.texts import TEXTS_SCHEMA
from app.schemas.shared.envelope import Strict

SIDE_PATTERN = "^([Ll]eft|[Rr]ight)$"
"""Pattern of the sides at which texts are cut. Some clients write them in lower case."""
TeiErrorType = TypeAliasType(
    "TeiErrorType",
    Annotated[
        Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"],
        Field(description="Kind of an error."),
    ],
)
TextsField = Annotated[Any, WithJsonSchema(TEXTS_SCHEMA)]
_STRINGS = {"type": "array", "minItems": 1, "items": {"type": "string"}}
PairsField = Annotated[
    Any,
    WithJsonSchema({"anyOf": [{"type": "string"}, _STRINGS, {"type": "array", "minItems": 1, "items": _STRINGS}]}),
]
_IDS = {"type": "array", "minItems": 1, "items": {"type": "integer"}}
IdsField = Annotated[Any, WithJsonSchema({"anyOf": [_IDS, {"type": "array", "minItems": 1, "items": _IDS}]})]


class TeiErrorAnswer(BaseModel):
    """Answer to a request that is refused or failed."""

    error: str = Field(description="What is wrong, for people.")
    error_type: TeiErrorType = Field(description="Kind of the error.")


class TeiTruncation(Strict):
    """Fields of bodies whose texts may be cut."""

    truncate: bool | None = Field(
        None, description="Whether texts longer than the model's context are cut, or refused; cut if omitted."
    )
    truncation_direction: str | None = Field(
        None,
        pattern=SIDE_PATTERN,
        description="Side at which they are cut, `Left` or `Right`; as the checkpoint says, mostly the right one, if "
        "omitted.",
    )


class TeiTextsBody(TeiTruncation):
    """Request body of `embed_all` and `embed_sparse`."""

    inputs: TextsField = Field(description="A text or a list of texts, or token ids of the model's own tokenizer.")
    prompt_name: str | None = Field(
        None, max_length=1000, description="Name of the prompt to put before each text; the model's default if omitted."
    )


class TeiEmbedBody(TeiTextsBody):
    """Request body of `embed`."""

    normalize: bool | None = Field(None, description="Whether embeddings have unit length; true if omitted.")
    dimensions: int | None = Field(
        None, ge=1, description="Number of elements of the embeddings to keep, from the first; all if omitted."
    )


class TeiPredictBody(TeiTruncation):
    """Request body of `predict`."""

    inputs: PairsField = Field(
        description="A text; a list of one text or of a pair; or a list of such lists, which is a batch."
    )
    raw_scores: bool | None = Field(None, description="Whether the scores are logits.")


class TeiRerankBody(TeiTruncation):
    """Request body of `rerank`."""

    query: str = Field(description="The query.")
    texts: list[str] = Field(description="The texts.")
    raw_scores: bool | None = Field(None, description="Whether the scores are logits; only for cross-encoders.")
    return_text: bool | None = Field(None, description="Whether ranks have the texts.")


class TeiSimilarityInputs(Strict):
    """The texts to compare."""

    source_sentence: str = Field(description="The text that the others are compared with.")
    sentences: list[str] = Field(description="The other texts.")


class TeiSimilarityParameters(TeiTruncation):
    """Parameters of `similarity`."""

    prompt_name: str | None = Field(
        None, max_length=1000, description="Name of the prompt to put before each text; the model's default if omitted."
    )


class TeiSimilarityBody(Strict):
    """Request body of `similarity`."""

    inputs: TeiSimilarityInputs = Field(description="The texts.")
    parameters: TeiSimilarityParameters | None = Field(None, description="Parameters.")


class TeiTokenizeBody(Strict):
    """Request body of `tokenize`."""

    inputs: str | list[str] = Field(description="A text or a list of texts.")
    add_special_tokens: bool | None = Field(
        None, description="Whether to add the special tokens that the model expects around a text; true if omitted."
    )
    prompt_name: str | None = Field(
        None, max_length=1000, description="Name of the prompt to put before each text; none if omitted."
    )


class TeiDecodeBody(Strict):
    """Request body of `decode`."""

    ids: IdsField = Field(description="A list of token ids, or a list of such lists.")
    skip_special_tokens: bool | None = Field(None, description="Whether special tokens are left out; true if omitted.")


class TeiElement(BaseModel):
    """An element of a sparse embedding that is not zero."""

    index: int = Field(description="Its place, which is a token id.")
    value: float = Field(description="Its value.")


class TeiLabel(BaseModel):
    """A label and its score."""

    score: float = Field(description="Score of the label.")
    label: str = Field(description="Name of the label.")


class TeiRank(BaseModel):
    """A text and its score."""

    index: int = Field(description="Place of the text in `texts`, from 0.")
    text: str | None = Field(None, description="The text; only if asked for.")
    score: float = Field(description="How well the text answers the query, as `/rerank` scores it.")


class TeiToken(BaseModel):
    """A token of a text."""

    id: int = Field(description="Its id.")
    text: str = Field(description="The part of the text that it stands for; the token itself if it is special.")
    special: bool = Field(description="Whether it is a special token.")
    start: int | None = Field(description="Index of its first character in the text; null if it is special.")
    stop: int | None = Field(description="Index after its last character; null if it is special.")


class TeiInfo(BaseModel):
    """What is served under the model's path."""

    model_id: str = Field(description="Id of the model.")
    model_sha: str | None = Field(description="SHA-256 digest of the weights; null if unknown.")
    model_dtype: str = Field(description="Type of the weights in memory.")
    model_type: dict[str, Any] = Field(
        description="`embedding` with its `pooling`; `classifier` or `reranker` with `id2label` and `label2id`."
    )
    max_concurrent_requests: int = Field(description="Maximum number of items that wait in the model's queue.")
    max_input_length: int = Field(description="Maximum number of tokens of a text.")
    max_batch_tokens: int = Field(description="Maximum number of tokens of a batch.")
    max_batch_requests: int | None = Field(description="Maximum number of texts of a batch; null, for there is none.")
    max_client_batch_size: int = Field(description="Maximum number of texts of a request.")
    auto_truncate: bool = Field(description="Whether texts are cut if a request does not say.")
    tokenization_workers: int = Field(description="Number of threads that texts may be tokenized on.")
    version: str = Field(description="Version of the server.")

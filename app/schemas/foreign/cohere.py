"""Bodies and answers of the dialect of Cohere, and of the others that rank documents by the same body."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from app.schemas.foreign.neutral import only
from app.schemas.shared.envelope import Body, Strict

CohereEmbeddingType = TypeAliasType(
    "CohereEmbeddingType",
    Annotated[
        Literal["float", "base64", "int8", "uint8", "binary", "ubinary"],
        Field(description="Form of an embedding, as the parameter `encoding` of `/encode` has it."),
    ],
)
CohereInputType = TypeAliasType(
    "CohereInputType",
    Annotated[
        Literal["search_document", "search_query", "classification", "clustering"],
        Field(description="What embeddings are for."),
    ],
)
CohereResponseType = TypeAliasType(
    "CohereResponseType",
    Annotated[Literal["embeddings_floats", "embeddings_by_type"], Field(description="How an answer holds embeddings.")],
)
CohereTruncate = TypeAliasType(
    "CohereTruncate", Annotated[Literal["NONE", "START", "END"], Field(description="Where long texts are cut.")]
)


class CohereErrorAnswer(BaseModel):
    """Answer to a request that is refused or failed."""

    message: str = Field(description="What is wrong, for people.")


class CohereText(BaseModel):
    """A text in an object; its other fields have no effect."""

    text: str = Field(description="The text.")


class CohereRerankBody(Body):
    """Request body of the routes that rank documents."""

    model: str | None = Field(None, description="Id of the model; the default model of `/rerank` if omitted.")
    query: str | CohereText = Field(description="The query.")
    documents: list[str | CohereText] = Field(min_length=1, description="The documents.")
    top_n: int | None = Field(None, ge=1, description="Number of documents to return; all if omitted.")
    return_documents: bool | None = Field(None, description="Whether results have the documents.")
    raw_scores: bool | None = Field(
        None, description="Whether the scores are logits; only for cross-encoders. Infinity has this field."
    )
    max_chunks_per_doc: int | None = Field(
        None, ge=1, description="Maximum number of parts of a document that are read; only its first is read."
    )
    max_tokens_per_doc: int | None = Field(
        None, ge=1, description="Maximum number of tokens of a document; it may not be less than the model's context."
    )
    rank_fields: Annotated[list[str] | None, only(["text"], reason="documents are ranked by their text")] = Field(
        None, description="Fields of the documents to rank by; only `text` is taken."
    )
    truncate_prompt_tokens: Annotated[int | None, only(-1, reason="texts are cut to the model's context")] = Field(
        None,
        description="Number of tokens to cut texts to; only -1, the model's context, is taken. vLLM has this field.",
    )
    priority: int | None = Field(None, description="Priority of the request; it has no effect.")
    user: str | None = Field(None, description="Name of the end user; it has no effect.")


class CohereRankedDocument(BaseModel):
    """A document and its score."""

    index: int = Field(description="Place of the document in `documents`, from 0.")
    relevance_score: float = Field(description="How well the document answers the query, as `/rerank` scores it.")
    document: dict[str, Any] | None = Field(None, description="The document; only if asked for.")


class CohereMeta(BaseModel):
    """What is said about an answer."""

    api_version: dict[str, str] = Field(description="The `version` of the API.")
    billed_units: dict[str, int] = Field(description="Counts of the request.")
    warnings: list[str] | None = Field(None, description="Warnings, such as that texts were cut.")


class CohereUsage(BaseModel):
    """Counts of tokens, as Jina and vLLM have them."""

    prompt_tokens: int = Field(description="Number of tokens read.")
    total_tokens: int = Field(description="The same number.")


class CohereRerankAnswer(BaseModel):
    """Answer of the routes that rank documents."""

    id: str = Field(description="Id of the answer.")
    model: str = Field(description="Id of the model that answered.")
    results: list[CohereRankedDocument] = Field(description="The documents, best first.")
    meta: CohereMeta = Field(description="What is said about the answer.")
    usage: CohereUsage = Field(description="Counts of tokens.")


class CohereContent(Strict):
    """A part of an input."""

    type: Literal["text"] = Field(description="Kind of the part; only `text` is taken.")
    text: str = Field(description="The text.")


class CohereInput(Strict):
    """An input of one text."""

    content: list[CohereContent] = Field(min_length=1, max_length=1, description="Its parts; only one is taken.")


class CohereEmbedBody(Body):
    """Request body of `/v1/embed` and `/v2/embed`."""

    model: str | None = Field(None, description="Id of the model; the default model of `/encode` if omitted.")
    texts: list[str] | None = Field(None, min_length=1, description="The texts.")
    inputs: list[CohereInput] | None = Field(None, min_length=1, description="The texts, each in an object.")
    images: Annotated[list[str] | None, only([], reason="no model here makes embeddings of images and texts")] = Field(
        None, description="Images; only null and the empty list are taken."
    )
    input_type: CohereInputType | None = Field(
        None,
        description="What the embeddings are for: it chooses the prompt of that name, or `query`, `document` or "
        "`passage`, if the model has one.",
    )
    embedding_types: list[CohereEmbeddingType] | None = Field(
        None, min_length=1, max_length=6, description="Forms of the embeddings; numbers if omitted."
    )
    output_dimension: int | None = Field(
        None, ge=1, description="Number of elements of the embeddings to keep, from the first; all if omitted."
    )
    truncate: CohereTruncate | None = Field(
        None, description="Where to cut texts that are too long: `END` if omitted; `NONE` refuses them."
    )
    max_tokens: int | None = Field(
        None, ge=1, description="Maximum number of tokens of a text; it may not be less than the model's context."
    )
    priority: int | None = Field(None, description="Priority of the request; it has no effect.")


class CohereEmbedAnswer(BaseModel):
    """Answer of `/v1/embed` and `/v2/embed`."""

    id: str = Field(description="Id of the answer.")
    response_type: CohereResponseType = Field(
        description="`embeddings_floats` in `/v1/embed` without `embedding_types`."
    )
    embeddings: list[list[float]] | dict[str, list[Any]] = Field(
        description="The embeddings; by their form, unless the response type is `embeddings_floats`."
    )
    texts: list[str] = Field(description="The texts.")
    meta: CohereMeta = Field(description="What is said about the answer.")

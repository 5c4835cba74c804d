"""The routes of the dialect of Text Embeddings Inference.

The longer paths come first: the id of a model may contain slashes, so that a shorter one would match too. Of several
decorators, the lowest adds its route first.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.routes.foreign import describe_foreign
from app.routes.tei.answers import receive_for
from app.routes.tei.dialect import DIALECT
from app.routes.tei.info import classifies, describe_model, find_text_model
from app.routes.tei.scores import answer_predict, answer_rerank
from app.routes.tei.tokens import answer_decode, answer_tokenize
from app.routes.tei.vectors import answer_embed, answer_embed_form, answer_embeddings, answer_similarity
from app.schemas.foreign.openai import OpenAIEmbeddingsAnswer, OpenAIEmbeddingsBody
from app.schemas.foreign.tei import (
    TeiDecodeBody,
    TeiElement,
    TeiEmbedBody,
    TeiInfo,
    TeiLabel,
    TeiPredictBody,
    TeiRank,
    TeiRerankBody,
    TeiSimilarityBody,
    TeiTextsBody,
    TeiToken,
    TeiTokenizeBody,
)
from app.services import services_in

STATUSES = (400, 403, 404, 413, 415, 422, 424, 429, 500, 503, 504)
"""Statuses of the errors of routes that call a task."""
TEXTS = ["A dog runs through the grass.", "Stock prices fell."]

router = APIRouter()


ID = "Model id; it may contain a slash."
Embedder = Annotated[str, Path(description=ID, examples=["sentence-mini-en"])]
Sparse = Annotated[str, Path(description=ID, examples=["bert-mini-en"])]
Classifier = Annotated[str, Path(description=ID, examples=["bert-sst2-en"])]


def _described(name: str, summary: str, body: type[BaseModel], example: dict[str, Any], answer: Any) -> dict[str, Any]:
    return describe_foreign(
        DIALECT,
        operation_id=f"tei_{name}",
        summary=summary,
        body=body,
        example=example,
        answer=answer,
        statuses=STATUSES,
    )


@router.post(
    "/tei/{model:path}/embed_all",
    **_described(
        "embed_all", "Create an embedding of each token", TeiTextsBody, {"inputs": TEXTS}, list[list[list[float]]]
    ),
)
async def embed_all(model: Embedder, request: Request) -> Response:
    """Return the vector of each token of each text, special tokens included."""
    return await answer_embed_form(request, model, "all")


@router.post(
    "/tei/{model:path}/embed_sparse",
    **_described("embed_sparse", "Create sparse embeddings", TeiTextsBody, {"inputs": TEXTS}, list[list[TeiElement]]),
)
async def embed_sparse(model: Sparse, request: Request) -> Response:
    """Return the elements of each text's sparse embedding that are not zero, for models that predict masked words."""
    return await answer_embed_form(request, model, "sparse")


@router.post(
    "/tei/{model:path}/embed",
    **_described("embed", "Create embeddings", TeiEmbedBody, {"inputs": TEXTS}, list[list[float]]),
)
async def embed(model: Embedder, request: Request) -> Response:
    """Return the embedding of each text. Longer texts than the model's context are cut unless `truncate` is false."""
    return await answer_embed(await receive_for(request, model))


@router.post(
    "/tei/{model:path}/predict",
    **_described(
        "predict", "Classify texts", TeiPredictBody, {"inputs": TEXTS[0]}, list[TeiLabel] | list[list[TeiLabel]]
    ),
)
async def predict(model: Classifier, request: Request) -> Response:
    """Return the labels of a text or a pair, best first, or of each of a batch."""
    return await answer_predict(await receive_for(request, model))


@router.post(
    "/tei/{model:path}/rerank",
    **_described("rerank", "Rank texts by a query", TeiRerankBody, {"query": "a dog", "texts": TEXTS}, list[TeiRank]),
)
async def rerank(model: Embedder, request: Request) -> Response:
    """Return the texts in the order in which they answer the query, best first."""
    return await answer_rerank(await receive_for(request, model))


@router.post(
    "/tei/{model:path}/similarity",
    **_described(
        "similarity",
        "Compare a text with others",
        TeiSimilarityBody,
        {"inputs": {"source_sentence": "a dog", "sentences": TEXTS}},
        list[float],
    ),
)
async def similarity(model: Embedder, request: Request) -> Response:
    """Return the similarity of each sentence to the source."""
    return await answer_similarity(request, model)


@router.post(
    "/tei/{model:path}/tokenize",
    **_described("tokenize", "Split texts into tokens", TeiTokenizeBody, {"inputs": TEXTS}, list[list[TeiToken]]),
)
async def tokenize(model: Embedder, request: Request) -> Response:
    """Return the tokens of each text with their places."""
    return await answer_tokenize(request, model)


@router.post(
    "/tei/{model:path}/decode",
    **_described("decode", "Turn token ids into text", TeiDecodeBody, {"ids": [[40, 41, 42]]}, list[str]),
)
async def decode(model: Embedder, request: Request) -> Response:
    """Return the text of each list of token ids."""
    return await answer_decode(request, model)


def _described_embeddings(name: str) -> dict[str, Any]:
    return describe_foreign(
        DIALECT,
        operation_id=f"tei_{name}",
        summary="Create embeddings in the form of OpenAI",
        body=OpenAIEmbeddingsBody,
        example={"input": TEXTS},
        answer=OpenAIEmbeddingsAnswer,
        statuses=STATUSES,
    )


@router.post("/tei/{model:path}/embeddings", **_described_embeddings("embeddings"))
@router.post("/tei/{model:path}/v1/embeddings", **_described_embeddings("openai_embeddings"))
async def create_embeddings(model: Embedder, request: Request) -> Response:
    """Return the embedding of each text, cut as `embed` cuts it.

    The model is that of the path, whatever the body names.
    """
    return await answer_embeddings(request, model)


@router.get(
    "/tei/{model:path}/info",
    **describe_foreign(
        DIALECT,
        operation_id="tei_info",
        summary="Describe a model",
        answer=TeiInfo,
        statuses=(404, 422, 500, 503),
    ),
)
async def info(model: Embedder, request: Request) -> TeiInfo:
    """Return what the model is and the limits that hold for it."""
    return await describe_model(services_in(request.scope), model)


def _described_health(name: str) -> dict[str, Any]:
    described = describe_foreign(
        DIALECT, operation_id=f"tei_{name}", summary="Say whether a model serves", statuses=(404, 422, 500, 503)
    )
    return {**described, "response_class": Response}


@router.get("/tei/{model:path}", **_described_health("root_health"))
@router.get("/tei/{model:path}/ping", **_described_health("ping"))
@router.get("/tei/{model:path}/health", **_described_health("health"))
async def health(model: Embedder, request: Request) -> Response:
    """Answer with an empty body if the model serves."""
    found = find_text_model(services_in(request.scope), model, request.method)
    if not found.loads_on_demand:
        found.require()
    return Response()


@router.post(
    "/tei/{model:path}",
    **_described("root", "Create embeddings, or do what the model is for", TeiEmbedBody, {"inputs": TEXTS}, Any),
)
async def root(model: Embedder, request: Request) -> Response:
    """Do as `embed`; for a classifier as `predict`, and for a body with a query as `rerank`."""
    received = await receive_for(request, model)
    served = find_text_model(received.foreign.services, received.model, request.method)
    values = await received.foreign.json()
    if isinstance(values, dict) and "query" in values:
        return await answer_rerank(received)
    return await (answer_predict if classifies(served) else answer_embed)(received)

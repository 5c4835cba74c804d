"""The routes of the dialect of Cohere."""

from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.routes.cohere.dialect import DIALECT
from app.routes.cohere.embed import answer_embed
from app.routes.cohere.rerank import answer_rerank
from app.routes.foreign import TaskForm, describe_foreign, receive
from app.schemas.foreign.cohere import CohereEmbedAnswer, CohereEmbedBody, CohereRerankAnswer, CohereRerankBody

STATUSES = (400, 403, 404, 413, 415, 429, 500, 503, 504)
"""Statuses of the errors of these routes."""
TASK_FORMS = {"rerank": TaskForm(dialect=DIALECT, field="documents", answer=partial(answer_rerank, version="1"))}
"""The tasks whose native routes take bodies of this dialect as well."""

router = APIRouter()


def _described(kind: str, version: str) -> dict[str, Any]:
    """Return the description of a route."""
    is_rerank = kind == "rerank"
    texts = {"query": "a dog runs", "documents": ["stock prices", "a dog walks"]} if is_rerank else {"texts": ["a dog"]}
    return describe_foreign(
        DIALECT,
        operation_id=f"cohere_{kind}{'' if version == '2' else '_first_version'}",
        summary=f"{'Rank documents by a query' if is_rerank else 'Create embeddings'} (version {version})",
        body=CohereRerankBody if is_rerank else CohereEmbedBody,
        example={"model": "sentence-mini-en", **texts},
        answer=CohereRerankAnswer if is_rerank else CohereEmbedAnswer,
        statuses=STATUSES,
    )


@router.post("/v1/rerank", **_described("rerank", "1"))
async def rerank_v1(request: Request) -> Response:
    """Return the documents in the order in which they answer the query, best first."""
    return await answer_rerank(await receive(request), "1")


@router.post("/v2/rerank", **_described("rerank", "2"))
async def rerank_v2(request: Request) -> Response:
    """Return the documents in the order in which they answer the query, best first."""
    return await answer_rerank(await receive(request), "2")


@router.post("/v1/embed", **_described("embed", "1"))
async def embed_v1(request: Request) -> Response:
    """Return the embeddings of texts: numbers, or the forms of `embedding_types`."""
    return await answer_embed(request, "1")


@router.post("/v2/embed", **_described("embed", "2"))
async def embed_v2(request: Request) -> Response:
    """Return the embeddings of texts in the forms of `embedding_types`."""
    return await answer_embed(request, "2")

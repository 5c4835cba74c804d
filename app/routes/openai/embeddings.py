"""Embeddings in the form of OpenAI."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request

from app.concurrency.worker_pools import MAX_INLINE_NUMBERS
from app.errors import Fault, InvalidRequest, TaskNotServed
from app.http.content import JSON
from app.http.responses import TaskResponse, check_finite, task_json
from app.registry.served_model import ServedModel
from app.routes.foreign import ForeignRequest, Reply, call_task, receive, wake
from app.routes.openai.dialect import require_model
from app.schemas.foreign.openai import OpenAIEmbeddingsBody
from app.schemas.foreign.texts import Texts, read_texts
from app.schemas.shared.parsing import parse_body
from app.services import Services

IDS_REFUSED = (
    "the ids of tokens are refused, because clients send those of another tokenizer than the model's: with LangChain's "
    "OpenAIEmbeddings, set check_embedding_ctx_length=False; if they are the model's own, the server takes them where "
    "MANIFOLD_OPENAI_TOKEN_IDS is true"
)


async def answer_embeddings(request: Request) -> TaskResponse:
    """Answer a request for embeddings.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    foreign = await receive(request)
    body, texts = await foreign.parse(lambda values: read_embeddings(values, foreign))
    content, reply = await create_embeddings(foreign, require_model(body.model), body, texts)
    return TaskResponse(content, JSON, reply.headers)


def read_embeddings(values: Any, foreign: ForeignRequest) -> tuple[OpenAIEmbeddingsBody, Texts]:
    """Return the body of a request for embeddings, checked, and its texts.

    Raises:
        InvalidRequest: the body is refused.
    """
    body = parse_body(OpenAIEmbeddingsBody, values, strict=True)
    return body, _read_input(body, foreign)


async def create_embeddings(
    foreign: ForeignRequest, model: str, body: OpenAIEmbeddingsBody, texts: Texts, *, truncate: bool | None = None
) -> tuple[bytes, Reply]:
    """Return the answer to a request for embeddings in JSON, and the reply of the native task.

    Args:
        foreign: the request.
        model: the id of the model.
        body: its body.
        texts: the texts of the body.
        truncate: whether texts that are too long are cut, and counted; they are refused if None.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    await require_embeddings(foreign.services, model)
    values = {
        "model": model,
        "inputs": texts.items,
        "parameters": {"dimensions": body.dimensions, "normalize": True, "truncate": truncate},
    }
    reply = await call_task(foreign, "encode", values, {**texts.names, "parameters/dimensions": "dimensions"})
    answer = {
        "object": "list",
        "model": reply.call.model.name,
        "usage": {"prompt_tokens": reply.usage["tokens"], "total_tokens": reply.usage["tokens"]},
    }
    vectors = [output["embedding"] for output in reply.outputs]
    arguments = answer, vectors, body.encoding_format == "base64"
    if len(vectors) * vectors[0].size <= MAX_INLINE_NUMBERS:
        content = _render(*arguments)
    else:
        content = await foreign.services.pools.run(_render, *arguments, n_bytes=len(foreign.data))
    return content, reply


def _read_input(body: OpenAIEmbeddingsBody, foreign: ForeignRequest) -> Texts:
    texts = read_texts(body.input, "input", takes_empty=False)
    if (index := texts.first_ids) is not None and not foreign.services.settings.openai_token_ids:
        pointer = "/input" if texts.is_single else f"/input/{index}"
        raise InvalidRequest.of([Fault(pointer, IDS_REFUSED)])
    return texts


async def require_embeddings(services: Services, name: str) -> ServedModel:
    """Return the model of this name if it makes one dense embedding of each text. It is loaded first if it is idle.

    Raises:
        UnknownModel: there is no such model.
        ModelUnavailable: it is not in memory.
        TaskNotServed: it makes no embeddings of texts, or others than dense ones.
    """
    model = services.registry.model_for("encode", name)
    if model.checkpoint is not None and model.checkpoint.modality != "text":
        detail = f"{name} makes no embeddings of texts: its items are of the kind {model.checkpoint.modality}"
        raise TaskNotServed(f"{detail}; POST /encode takes them")
    await wake(model)
    if model.loaded is not None and model.loaded.text is not None:
        pooling = model.loaded.text.pooling
        if not pooling or any(each.startswith("splade_") for each in pooling):
            kind = "sparse embeddings" if pooling else "an embedding of each token"
            raise TaskNotServed(f"{name} makes {kind}, which have no place in this answer; POST /encode returns them")
    return model


def _render(answer: dict[str, Any], vectors: Sequence[Any], is_base64: bool) -> bytes:
    """Return the answer in JSON.

    Raises:
        InferenceFailed: a number is not finite.
    """
    data: list[dict[str, Any]] = []
    for index, vector in enumerate(vectors):
        embedding: Any = vector
        if is_base64:
            check_finite(vector)
            embedding = base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    return task_json({**answer, "data": data})

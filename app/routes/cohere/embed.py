"""Embeddings in the form of Cohere."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Fault, InvalidRequest
from app.http.content import JSON
from app.http.responses import TaskResponse, task_json
from app.routes.cohere.prompts import find_model, prompt_for
from app.routes.cohere.rerank import answer_id, check_bound, describe_answer
from app.routes.foreign import call_task, receive
from app.routes.openai.embeddings import require_embeddings
from app.schemas.foreign.cohere import CohereEmbedBody
from app.schemas.shared.parsing import parse_body
from app.schemas.shared.vectors import render_vectors

SIDES = {"START": "left", "END": "right"}


async def answer_embed(request: Request, version: str) -> Response:
    """Return embeddings of unit length of the texts of a request.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    foreign = await receive(request)
    body = await foreign.parse(lambda values: parse_body(CohereEmbedBody, values, strict=True))
    field, texts = _texts(body)
    model = find_model(foreign.services, "encode", body.model)
    await require_embeddings(foreign.services, model.name)
    check_bound(model, "max_tokens", body.max_tokens)
    truncate = body.truncate or "END"
    parameters = {
        "normalize": True,
        "dimensions": body.output_dimension,
        "truncate": truncate != "NONE",
        "truncation_side": SIDES.get(truncate),
        "prompt_name": prompt_for(model, body.input_type),
    }
    names = {"inputs": field, "parameters/dimensions": "output_dimension"}
    reply = await call_task(foreign, "encode", {"model": model.name, "inputs": texts, "parameters": parameters}, names)
    has_types = version == "2" or body.embedding_types is not None
    answer = {
        "id": answer_id(),
        "response_type": "embeddings_by_type" if has_types else "embeddings_floats",
        "texts": texts,
        "meta": describe_answer(reply, version, {"input_tokens": reply.usage["tokens"]}),
    }
    vectors = [output["embedding"] for output in reply.outputs]
    types = list(dict.fromkeys(body.embedding_types or ["float"])) if has_types else []
    content = await foreign.services.pools.run(_render, answer, vectors, types, n_bytes=len(foreign.data))
    return TaskResponse(content, JSON, reply.headers)


def _texts(body: CohereEmbedBody) -> tuple[str, list[str]]:
    """Return the field that has the texts, and the texts.

    Raises:
        InvalidRequest: neither of the fields has any, or both have.
    """
    if (body.texts is None) == (body.inputs is None):
        raise InvalidRequest.of([Fault("/texts", "send either texts or inputs")])
    if body.texts is not None:
        return "texts", body.texts
    return "inputs", [part.text for each in body.inputs or [] for part in each.content]


def _render(answer: dict[str, Any], vectors: Sequence[Any], types: Sequence[str]) -> bytes:
    """Return the answer in JSON, with the embeddings in each of the types, or as numbers if there is none.

    Raises:
        InferenceFailed: a number is not finite.
    """
    if not types:
        return task_json({**answer, "embeddings": vectors})
    rows = np.stack(vectors)
    by_type = {
        kind: vectors if kind == "float" else [output["embedding"] for output in render_vectors(rows, kind)]
        for kind in types
    }
    return task_json({**answer, "embeddings": by_type})

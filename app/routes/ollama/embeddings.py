"""Embeddings in the form of Ollama."""

import time
from typing import Any

from starlette.requests import Request

from app.errors import Fault, InvalidRequest
from app.http.responses import TaskResponse
from app.routes.foreign import call_task, json_response, receive
from app.routes.ollama.dialect import checked_options, model_id
from app.routes.openai.embeddings import require_embeddings
from app.schemas.foreign.ollama import OllamaEmbedBody, OllamaEmbeddingsBody
from app.schemas.foreign.texts import Texts, read_texts
from app.schemas.shared.parsing import parse_body

NO_TIME = {"total_duration": 0, "load_duration": 0}


async def answer_embed(request: Request) -> TaskResponse:
    """Answer a request for the embeddings of several texts, which have unit length.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    started_at = time.perf_counter_ns()
    foreign = await receive(request)

    def read(values: Any) -> tuple[OllamaEmbedBody, Texts | None]:
        body = parse_body(OllamaEmbedBody, values, strict=True)
        return body, None if body.input in ("", []) else _read_input(body.input)

    body, texts = await foreign.parse(read)
    model = await require_embeddings(foreign.services, model_id(body.model))
    checked_options(body, model)
    if texts is None:
        return await json_response(foreign, {"model": model.name, "embeddings": [], **NO_TIME, "prompt_eval_count": 0})
    parameters = {
        "dimensions": body.dimensions or None,
        "normalize": True,
        "truncate": body.truncate is None or body.truncate,
    }
    values = {"model": model.name, "inputs": texts.items, "parameters": parameters}
    reply = await call_task(foreign, "encode", values, {**texts.names, "parameters/dimensions": "dimensions"})
    answer = {
        "model": model.name,
        "embeddings": [output["embedding"] for output in reply.outputs],
        "total_duration": time.perf_counter_ns() - started_at,
        "load_duration": 0,
        "prompt_eval_count": reply.usage["tokens"],
    }
    return await json_response(foreign, answer, reply.headers)


def _read_input(value: Any) -> Texts:
    texts = read_texts(value, "input")
    if (index := texts.first_ids) is not None:
        pointer = "/input" if texts.is_single else f"/input/{index}"
        raise InvalidRequest.of([Fault(pointer, "it must be a text")])
    return texts


async def answer_embeddings(request: Request) -> TaskResponse:
    """Answer a request for the embedding of one text, which is scaled as the checkpoint says.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    foreign = await receive(request)
    body = await foreign.parse(lambda values: parse_body(OllamaEmbeddingsBody, values, strict=True))
    model = await require_embeddings(foreign.services, model_id(body.model))
    checked_options(body, model)
    if not body.prompt:
        return await json_response(foreign, {"embedding": []})
    values = {"model": model.name, "inputs": [body.prompt], "parameters": {}}
    reply = await call_task(foreign, "encode", values, {"inputs/0": "prompt", "inputs": "prompt"})
    return await json_response(foreign, {"embedding": reply.outputs[0]["embedding"]}, reply.headers)

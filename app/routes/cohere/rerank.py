"""Documents ranked by a query, in the form of Cohere, Jina, infinity and vLLM."""

import secrets
from typing import Any

from starlette.responses import Response

from app.errors import Fault, InvalidRequest
from app.registry.served_model import ServedModel
from app.routes.cohere.prompts import find_model, prompt_for
from app.routes.foreign import ForeignRequest, Reply, call_task, json_response
from app.schemas.foreign.cohere import CohereRerankBody, CohereText
from app.schemas.shared.parsing import parse_body
from models.codecs import TextCodec
from models.tasks import RERANK_PAIRS

NAMES = {"inputs/0": "documents", "inputs": "documents", "parameters/top_k": "top_n"}
"""Names of this dialect for the parts of the native body."""


async def answer_rerank(foreign: ForeignRequest, version: str) -> Response:
    """Rank the documents of a request. Those that are longer than the model's context are cut, and counted.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    values, body = await foreign.parse(_read)
    model = find_model(foreign.services, "rerank", body.model)
    check_bound(model, "max_tokens_per_doc", body.max_tokens_per_doc)
    item = {"query": _text(body.query), "candidates": [_text(document) for document in body.documents]}
    native = {"model": model.name, "inputs": [item], "parameters": _parameters(model, body)}
    reply = await call_task(foreign, "rerank", native, NAMES)
    results: list[dict[str, Any]] = []
    for ranked in reply.outputs[0]["ranking"]:
        result = {"index": ranked["index"], "relevance_score": ranked["score"]}
        if body.return_documents:
            document = values["documents"][ranked["index"]]
            result["document"] = {"text": document} if isinstance(document, str) else document
        results.append(result)
    n_tokens = reply.usage["tokens"]
    answer = {
        "id": answer_id(),
        "model": model.name,
        "results": results,
        "meta": describe_answer(reply, version, {"search_units": 1}),
        "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
    }
    return await json_response(foreign, answer, reply.headers)


def _read(values: Any) -> tuple[dict[str, Any], CohereRerankBody]:
    return values, parse_body(CohereRerankBody, values, strict=True)


def _text(value: str | CohereText) -> str:
    return value if isinstance(value, str) else value.text


def _parameters(model: ServedModel, body: CohereRerankBody) -> dict[str, Any]:
    """Return the parameters of the native task.

    Raises:
        InvalidRequest: logits are asked for of a model that has none.
    """
    parameters: dict[str, Any] = {"top_k": body.top_n, "truncate": True}
    if model.checkpoint is not None and RERANK_PAIRS in model.checkpoint.tasks:
        return {**parameters, "function_to_apply": "none" if body.raw_scores else None}
    if body.raw_scores:
        detail = f"{model.name} compares embeddings and has no logits; leave it out, or send false"
        raise InvalidRequest.of([Fault("/raw_scores", detail)])
    prompt, of_documents = prompt_for(model, "search_query"), prompt_for(model, "search_document")
    return {**parameters, "prompt_name": prompt, "candidates_prompt_name": of_documents}


def check_bound(model: ServedModel, field: str, bound: int | None) -> None:
    """Refuse a maximum number of tokens below the context, to which texts are cut.

    Raises:
        InvalidRequest: the bound is less.
    """
    if bound is None or model.checkpoint is None:
        return
    codec = model.checkpoint.codec
    if isinstance(codec, TextCodec) and bound < (context := codec.truncated_length):
        detail = f"{bound} is refused: texts are cut to the context of {model.name}, {context} tokens"
        raise InvalidRequest.of([Fault(f"/{field}", f"{detail}; leave it out, or send that or more")])


def answer_id() -> str:
    """Return an id for an answer."""
    return secrets.token_hex(16)


def describe_answer(reply: Reply, version: str, units: dict[str, int]) -> dict[str, Any]:
    """Return what is said about an answer, with a warning if texts were cut."""
    meta: dict[str, Any] = {"api_version": {"version": version}, "billed_units": units}
    if n_cut := reply.usage.get("truncated"):
        texts = "text was" if n_cut == 1 else "texts were"
        meta["warnings"] = [f"{n_cut} {texts} longer than the model's context and cut"]
    return meta

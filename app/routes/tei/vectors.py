"""Embeddings and similarities, in the form of Text Embeddings Inference."""

from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from app.routes.openai import create_embeddings, read_embeddings
from app.routes.tei.answers import Received, count_characters, receive_for, truncation
from app.routes.tei.info import find_text_model
from app.schemas.foreign.openai import OpenAIEmbeddingsBody
from app.schemas.foreign.tei import TeiEmbedBody, TeiSimilarityBody, TeiSimilarityParameters, TeiTextsBody
from app.schemas.foreign.texts import Texts, read_texts

Form = Literal["all", "sparse"]
FORMS: dict[Form, dict[str, Any]] = {
    "all": {"pooling": "none", "normalize": False, "sparse": False},
    "sparse": {"sparse": True},
}
"""Native parameters of the routes `embed_all` and `embed_sparse`."""


async def answer_embed(received: Received) -> Response:
    """Answer with one embedding of each text, of unit length unless the body says otherwise."""
    body = await received.read(TeiEmbedBody)
    parameters = {
        "normalize": body.normalize is not False,
        "dimensions": body.dimensions,
        "prompt_name": body.prompt_name,
        "sparse": False,
        **truncation(body),
    }
    texts = _read_inputs(received, body)
    reply = await received.call("encode", texts.items, parameters, texts.names)
    vectors = [output["embedding"] for output in reply.outputs]
    return await received.answer(vectors, reply, count_characters(texts.items))


async def answer_embed_form(request: Request, model: str, form: Form) -> Response:
    """Answer with one embedding of each token, or with one sparse embedding of each text."""
    received = await receive_for(request, model)
    body = await received.read(TeiTextsBody)
    texts = _read_inputs(received, body)
    parameters = {**FORMS[form], "prompt_name": body.prompt_name, **truncation(body)}
    reply = await received.call("encode", texts.items, parameters, texts.names)
    embeddings = [output["embedding"] for output in reply.outputs]
    if form == "sparse":
        embeddings = [_list_elements(embedding) for embedding in embeddings]
    return await received.answer(embeddings, reply, count_characters(texts.items))


async def answer_embeddings(request: Request, model: str) -> Response:
    """Answer with one embedding of each text in the form of OpenAI. Longer texts than the context are cut."""
    received = await receive_for(request, model)

    def read(values: Any) -> tuple[OpenAIEmbeddingsBody, Texts]:
        if isinstance(values, dict):
            received.check_not_empty(values.get("input"), "input")
        return read_embeddings(values, received.foreign)

    body, texts = await received.foreign.parse(read)
    received.check_count(len(texts.items), "input")
    find_text_model(received.foreign.services, received.model, request.method)
    content, reply = await create_embeddings(received.foreign, received.model, body, texts, truncate=True)
    return received.respond(content, reply, count_characters(texts.items))


async def answer_similarity(request: Request, model: str) -> Response:
    """Answer with the similarity of each sentence to the source."""
    received = await receive_for(request, model)
    body = await received.read(TeiSimilarityBody)
    given = body.parameters or TeiSimilarityParameters()
    received.check_count(len(body.inputs.sentences), "inputs/sentences")
    item = {"source": body.inputs.source_sentence, "candidates": body.inputs.sentences}
    parameters = {"prompt_name": given.prompt_name, **truncation(given)}
    reply = await received.call("similarity", [item], parameters, {"inputs/0": "inputs"})
    return await received.answer(reply.outputs[0]["scores"], reply, count_characters(list(item.values())))


def _read_inputs(received: Received, body: TeiTextsBody) -> Texts:
    """Return the texts of a body.

    Raises:
        InvalidRequest, PayloadTooLarge: they are refused.
    """
    received.check_not_empty(body.inputs, "inputs")
    texts = read_texts(body.inputs, "inputs")
    received.check_count(len(texts.items), "inputs")
    return texts


def _list_elements(embedding: dict[str, Any]) -> list[dict[str, Any]]:
    pairs = zip(embedding["indices"].tolist(), embedding["values"].tolist(), strict=True)
    return [{"index": index, "value": value} for index, value in pairs]

"""Classes of texts, and texts ranked by a query, in the form of Text Embeddings Inference."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from app.errors import Fault, InvalidRequest
from app.routes.tei.answers import Received, count_characters, truncation
from app.schemas.foreign.tei import TeiPredictBody, TeiRerankBody
from models.tasks import RERANK_PAIRS

PAIR = 2


async def answer_predict(received: Received) -> Response:
    """Answer with the labels of each text or pair, best first."""
    body = await received.read(TeiPredictBody)
    items, is_batch = _read_items(received, body.inputs)
    function = "none" if body.raw_scores else None
    names = {"inputs": "inputs"} if is_batch else {"inputs/0": "inputs"}
    reply = await received.call("classify", items, {"function_to_apply": function, **truncation(body)}, names)
    labels = [
        [{"score": each["score"], "label": each["label"]} for each in output["labels"]] for output in reply.outputs
    ]
    return await received.answer(labels if is_batch else labels[0], reply, count_characters(body.inputs))


def _read_items(received: Received, inputs: Any) -> tuple[list[Any], bool]:
    """Return the native items of `inputs`, and whether they are a batch.

    Raises:
        PayloadTooLarge: there are too many.
        InvalidRequest: they are neither a text, nor one text or two in a list, nor a list of such lists.
    """
    if isinstance(inputs, list):
        received.check_count(len(inputs), "inputs")
        if any(isinstance(part, list) for part in inputs):
            return [_read_item(part, f"/inputs/{index}") for index, part in enumerate(inputs)], True
    return [_read_item(inputs, "/inputs")], False


def _read_item(parts: Any, pointer: str) -> str | dict[str, str]:
    texts: Sequence[Any] = [parts] if isinstance(parts, str) else parts if isinstance(parts, list) else []
    if not 1 <= len(texts) <= PAIR or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest.of([Fault(pointer, "it must be a text, or a list of one text or of a pair of texts")])
    return texts[0] if len(texts) == 1 else {"text": texts[0], "text_pair": texts[1]}


async def answer_rerank(received: Received) -> Response:
    """Answer with the texts in the order in which they answer the query, best first."""
    body = await received.read(TeiRerankBody)
    received.check_count(len(body.texts), "texts")
    parameters = truncation(body)
    if body.raw_scores:
        model = received.foreign.services.registry.model_for("rerank", received.model)
        if model.checkpoint is not None and RERANK_PAIRS not in model.checkpoint.tasks:
            detail = f"{model.name} compares embeddings and has no logits; leave it out, or send false"
            raise InvalidRequest.of([Fault("/raw_scores", detail)])
        parameters["function_to_apply"] = "none"
    item = {"query": body.query, "candidates": body.texts}
    reply = await received.call("rerank", [item], parameters, {"inputs/0": "texts", "inputs": "texts"})
    ranks = [
        {
            "index": ranked["index"],
            **({"text": body.texts[ranked["index"]]} if body.return_text else {}),
            "score": ranked["score"],
        }
        for ranked in reply.outputs[0]["ranking"]
    ]
    return await received.answer(ranks, reply, len(body.query) + count_characters(body.texts))

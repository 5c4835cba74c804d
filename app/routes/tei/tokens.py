"""Tokens of texts, in the form of Text Embeddings Inference."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.errors import Fault, InvalidRequest
from app.http.responses import task_json
from app.routes.cohere.prompts import prompts_of
from app.routes.tei.answers import count_characters, receive_for
from app.schemas.foreign.tei import TeiDecodeBody, TeiTokenizeBody
from app.schemas.foreign.texts import read_texts
from app.schemas.shared.quick_texts import MAX_BYTES
from models.cancellation import stop_if_abandoned
from models.codecs import TextCodec


async def answer_tokenize(request: Request, model: str) -> Response:
    """Answer with the tokens of each text, after the prompt that the body names."""
    received = await receive_for(request, model)
    body = await received.read(TeiTokenizeBody)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    received.check_count(len(texts), "inputs")
    if body.prompt_name:
        served = received.foreign.services.registry.model_for("tokenize", received.model)
        prompts = prompts_of(served)
        if body.prompt_name not in prompts:
            known = ", ".join(prompts) or "none"
            detail = f"{body.prompt_name[:100]!r} is no prompt of {served.name}; it has {known}"
            raise InvalidRequest.of([Fault("/prompt_name", detail)])
        texts = [prompts[body.prompt_name] + text for text in texts]
    parameters = {"add_special_tokens": body.add_special_tokens is not False}
    names = {"inputs/0": "inputs"} if isinstance(body.inputs, str) else {}
    reply = await received.call("tokenize", texts, parameters, names)
    codec = reply.call.codecs.texts

    def render() -> bytes:
        tokens = [_describe_tokens(text, output, codec) for text, output in zip(texts, reply.outputs, strict=True)]
        return task_json(tokens)

    if reply.call.n_bytes <= MAX_BYTES:
        content = render()
    else:
        content = await received.foreign.services.pools.run(render, n_bytes=reply.call.n_bytes)
    return received.respond(content, reply, count_characters(texts))


def _describe_tokens(text: str, output: Mapping[str, Any], codec: TextCodec) -> list[dict[str, Any]]:
    stop_if_abandoned()
    described: list[dict[str, Any]] = []
    for token_id, token, (start, stop) in zip(output["ids"], output["tokens"], output["offsets"], strict=True):
        is_special = token_id in codec.special.all
        described.append(
            {
                "id": token_id,
                "text": token if is_special else text[start:stop],
                "special": is_special,
                "start": None if is_special else start,
                "stop": None if is_special else stop,
            }
        )
    return described


async def answer_decode(request: Request, model: str) -> Response:
    """Answer with the text of each list of token ids."""
    received = await receive_for(request, model)
    body = await received.read(TeiDecodeBody)
    received.check_not_empty(body.ids, "ids")
    lists = read_texts(body.ids, "ids")
    received.check_count(len(lists.items), "ids")
    skip = body.skip_special_tokens is not False
    reply = await received.call("detokenize", lists.items, {"add_special_tokens": not skip}, lists.names)
    return await received.answer([output["text"] for output in reply.outputs], reply, 0)

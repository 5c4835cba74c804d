"""`/tokenize`: split texts into tokens, without a forward pass."""

from typing import Any

from pydantic import BaseModel, Field

from app.concurrency.request_memory import claim_memory
from app.schemas.shared.envelope import Answer, ItemsBody, Parameters
from app.schemas.shared.memory import TOKEN_BYTES
from app.schemas.shared.task_schema import CodecSchema, ModelCodecs, TaskEndpoint
from models.cancellation import stop_if_abandoned
from models.codecs.arrays import Limits
from models.errors import InvalidItems, Problem

MAX_TOKENS = 2**19
"""Maximum number of tokens of the texts of one request."""


class TokenizeParameters(Parameters):
    """Parameters of `/tokenize`."""

    add_special_tokens: bool = Field(
        True, description="Whether to add the special tokens that the model expects around a text."
    )


class TokenizeOutput(BaseModel):
    """The tokens of one text."""

    ids: list[int] = Field(description="Ids of the tokens.")
    tokens: list[str] = Field(description="The tokens as the vocabulary writes them.")
    offsets: list[tuple[int, int]] = Field(
        description="Place of each token in the text: the index of its first character, and the index after its last."
    )


class TokenizeBody(ItemsBody):
    """Request body of `/tokenize`. An item is a text."""

    parameters: TokenizeParameters = Field(TokenizeParameters(), description="Parameters of the task.")


class TokenizeAnswer(Answer):
    """Answer of `/tokenize`."""

    outputs: list[TokenizeOutput] = Field(description="The tokens of each text, in the order of the inputs.")


def _outputs(body: TokenizeBody, codecs: ModelCodecs, limits: Limits) -> list[dict[str, Any]]:
    codec = codecs.texts
    texts = codec.tokenize(
        codec.parse(body.inputs, limits),
        check_length=False,
        check_ids=False,
        add_special_tokens=body.parameters.add_special_tokens,
    )
    n_tokens = sum(map(len, texts))
    if n_tokens > MAX_TOKENS:
        raise InvalidItems(Problem(f"the texts have {n_tokens} tokens, all together; the limit is {MAX_TOKENS}"))
    names: dict[int, str] = {}
    outputs = []
    claim_memory(TOKEN_BYTES * sum(map(len, texts)))  # which may be one for each character, and mostly are far fewer
    for tokens in texts:
        stop_if_abandoned()
        ids = tokens.ids.tolist()
        for token_id in set(ids) - names.keys():
            names[token_id] = codec.token(token_id)
        outputs.append({"ids": ids, "tokens": [names[each] for each in ids], "offsets": tokens.details().offsets})
    return outputs


SCHEMA = CodecSchema(body=TokenizeBody, answer=TokenizeAnswer, outputs=_outputs, bytes_per_byte=64)
ENDPOINT = TaskEndpoint(
    name="tokenize",
    summary="Split texts into tokens",
    description="Splits texts into tokens by the model's tokenizer, without a forward pass. An item is a text. "
    "Returns the ids, names and places of the tokens of each text.",
    schemas=(SCHEMA,),
    examples=({"model": "bert-mini-en", "inputs": ["Tokenizers cut words."]},),
)

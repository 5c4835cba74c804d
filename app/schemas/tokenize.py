"""`/tokenize`: texts to tokens, without the model."""

from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, Parameters
from app.schemas.shared.task_schema import CodecSchema, ModelCodecs, TaskEndpoint
from models.codecs.arrays import Limits


class TokenizeParameters(Parameters):
    """Parameters of `/tokenize`."""

    add_special_tokens: bool = Field(True, description="Add those that the model expects around a text.")


class TokenizeOutput(BaseModel):
    """One text's tokens."""

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]] = Field(description="Which characters of the text each stands for: from, to.")


class TokenizeBody(ItemsBody):
    """What `/tokenize` is asked."""

    parameters: TokenizeParameters = TokenizeParameters()


class TokenizeAnswer(Answer):
    """What `/tokenize` answers."""

    outputs: list[TokenizeOutput]


def _outputs(body: TokenizeBody, codecs: ModelCodecs, limits: Limits) -> list[dict[str, Any]]:
    codec = codecs.texts
    tokens = codec.tokens(
        codec.texts(body.inputs, limits),
        limited_length=False,
        add_special_tokens=body.parameters.add_special_tokens,
    )
    return [
        {
            "ids": (ids := one.ids.tolist()),
            "tokens": [codec.token(token) for token in ids],
            "offsets": one.details().offsets,
        }
        for one in tokens
    ]


SCHEMA = CodecSchema(body=TokenizeBody, answer=TokenizeAnswer, outputs=_outputs)
ENDPOINT = TaskEndpoint(
    name="tokenize",
    summary="Split texts into tokens",
    schemas=(SCHEMA,),
    examples=({"model": "bert-mini-en", "inputs": ["Tokenizers cut words."]},),
)

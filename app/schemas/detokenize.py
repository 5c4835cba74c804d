"""`/detokenize`: tokens to text, without the model."""

from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, Parameters
from app.schemas.shared.task_schema import CodecSchema, ModelCodecs, TaskEndpoint
from models.codecs.arrays import Limits
from models.errors import InvalidItems, Problem


class DetokenizeParameters(Parameters):
    """Parameters of `/detokenize`."""

    add_special_tokens: bool = Field(True, description="Whether special tokens are part of the text.")


class DetokenizeOutput(BaseModel):
    """The tokens' text."""

    text: str


class DetokenizeBody(ItemsBody):
    """What `/detokenize` is asked. An item is a list of token ids."""

    parameters: DetokenizeParameters = DetokenizeParameters()


class DetokenizeAnswer(Answer):
    """What `/detokenize` answers."""

    outputs: list[DetokenizeOutput]


def _outputs(body: DetokenizeBody, codecs: ModelCodecs, limits: Limits) -> list[dict[str, Any]]:
    items = codecs.texts.texts(body.inputs, limits)
    if strangers := [
        Problem("the item must be a list of token ids", i) for i, item in enumerate(items) if item.ids is None
    ]:
        raise InvalidItems(*strangers)
    skip = not body.parameters.add_special_tokens
    return [{"text": codecs.texts.decode(item.ids or (), skip_special_tokens=skip)} for item in items]


SCHEMA = CodecSchema(body=DetokenizeBody, answer=DetokenizeAnswer, outputs=_outputs)
ENDPOINT = TaskEndpoint(
    name="detokenize",
    summary="Turn token ids into text",
    schemas=(SCHEMA,),
    examples=({"model": "gpt-mini-en", "inputs": [[40, 41, 42]]},),
)

"""`/detokenize`: turn token ids into text, without a forward pass."""

from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, Parameters
from app.schemas.shared.task_schema import CodecSchema, ModelCodecs, TaskEndpoint
from models.cancellation import stop_if_abandoned
from models.codecs.arrays import Limits
from models.errors import InvalidItems, Problem


class DetokenizeParameters(Parameters):
    """Parameters of `/detokenize`."""

    add_special_tokens: bool = Field(True, description="Whether special tokens appear in the text.")


class DetokenizeOutput(BaseModel):
    """The text of one list of tokens."""

    text: str = Field(description="The text.")


class DetokenizeBody(ItemsBody):
    """Request body of `/detokenize`. An item is a list of token ids."""

    parameters: DetokenizeParameters = Field(DetokenizeParameters(), description="Parameters of the task.")


class DetokenizeAnswer(Answer):
    """Answer of `/detokenize`."""

    outputs: list[DetokenizeOutput] = Field(description="The text of each item, in the order of the inputs.")


def _outputs(body: DetokenizeBody, codecs: ModelCodecs, limits: Limits) -> list[dict[str, Any]]:
    items = codecs.texts.parse(body.inputs, limits)
    not_ids = [index for index, item in enumerate(items) if item.ids is None]
    if not_ids:
        raise InvalidItems(*(Problem("the item must be a list of token ids", index) for index in not_ids))
    skip = not body.parameters.add_special_tokens
    outputs = []
    for item in items:
        stop_if_abandoned()
        outputs.append({"text": codecs.texts.decode(item.ids or (), skip_special_tokens=skip)})
    return outputs


SCHEMA = CodecSchema(body=DetokenizeBody, answer=DetokenizeAnswer, outputs=_outputs, bytes_per_byte=64)
ENDPOINT = TaskEndpoint(
    name="detokenize",
    summary="Turn token ids into text",
    description="Decodes token ids by the model's tokenizer, without a forward pass. An item is a list of token ids. "
    "Returns the text of each list.",
    schemas=(SCHEMA,),
    examples=({"model": "gpt-mini-en", "inputs": [[40, 41, 42]]},),
)

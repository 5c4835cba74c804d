"""`/answer`: answers found in contexts."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, Parameters
from app.schemas.shared.items import count_tokens, read_text_objects
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text.answers import answers
from models.tasks import ANSWER, Request
from models.tasks.text import AnswerRequest, AnswerResult

DEFAULT_STRIDE = 128


class AnswerParameters(Parameters):
    """Parameters of `/answer`."""

    top_k: int = Field(1, ge=1, le=100, description="How many answers.")
    max_answer_tokens: int = Field(15, ge=1, le=512, description="Longest answer.")
    stride: int | None = Field(
        None,
        ge=0,
        description="Tokens that neighbouring windows of a long context share: 128, or a quarter of a shorter window.",
    )
    allow_no_answer: bool = Field(False, description="Whether there may be none: an empty answer.")


class AnswerOut(BaseModel):
    """A part of the context."""

    answer: str
    score: float = Field(description="Its probability among all spans.")
    start: int = Field(description="Its first character.")
    end: int = Field(description="The character after its last.")


class AnswerOutput(BaseModel):
    """One question's answers."""

    answers: list[AnswerOut] = Field(description="Best first.")


class AnswerBody(ItemsBody):
    """What `/answer` is asked. An item is `{"question", "context"}`."""

    parameters: AnswerParameters = AnswerParameters()


class AnswerAnswer(Answer):
    """What `/answer` answers."""

    outputs: list[AnswerOutput]


def _requests(body: AnswerBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    pairs = read_text_objects(body.inputs, {"question": str, "context": str}, limits)
    given = body.parameters.stride
    stride = min(DEFAULT_STRIDE, codecs.texts.max_tokens // 4) if given is None else given
    return [
        AnswerRequest(windows=tuple(codecs.texts.windows(pair["question"], pair["context"], stride))) for pair in pairs
    ]


def _outputs(
    results: Sequence[AnswerResult], requests: Sequence[AnswerRequest], body: AnswerBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    asked = body.parameters.model_dump(exclude={"stride"})
    return [
        {
            "answers": [
                {"answer": one.answer, "score": one.score, "start": one.start, "end": one.end}
                for one in answers(request.windows, result.spans, **asked)
            ]
        }
        for request, result in zip(requests, results, strict=True)
    ]


SCHEMA = TaskSchema(
    task=ANSWER,
    body=AnswerBody,
    answer=AnswerAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=count_tokens,
    modality="text",
)
ENDPOINT = TaskEndpoint(
    name="answer",
    summary="Answer questions from contexts",
    schemas=(SCHEMA,),
    examples=(
        {
            "model": "bert-qa-en",
            "inputs": [{"question": "Where does Anna live?", "context": "Anna lives in London. She likes tea."}],
        },
    ),
)

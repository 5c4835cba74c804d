"""`/answer`: find the answer to a question in a context."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.registry.model_sizes import ModelSizes
from app.schemas.shared.envelope import Answer, ItemsBody, Parameters
from app.schemas.shared.items import count_tokens, each_item, read_text_objects
from app.schemas.shared.memory import RECORD_BYTES, REQUEST_BYTES, WEIGHT_BYTES
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.cancellation import stop_if_abandoned
from models.codecs.arrays import Limits
from models.codecs.text.answers import answers
from models.errors import InvalidItems, Problem
from models.tasks import ANSWER, Request
from models.tasks.text import AnswerRequest, AnswerResult


class AnswerParameters(Parameters):
    """Parameters of `/answer`."""

    top_k: int = Field(1, ge=1, le=100, description="Maximum number of answers for each question.")
    max_answer_tokens: int = Field(15, ge=1, le=512, description="Maximum length of an answer in tokens.")
    stride: int | None = Field(
        None,
        ge=0,
        description="Number of tokens that neighbouring windows of a long context share. If omitted, it is 128, a "
        "quarter of the model's context, or half of what the question leaves for the context, whichever is least.",
    )
    allow_no_answer: bool = Field(
        False,
        description="Whether an empty answer, which says that the context has none, competes with the others. The "
        "model must have been trained for it, as on SQuAD 2.",
    )


class FoundAnswer(BaseModel):
    """A part of the context that answers the question."""

    answer: str = Field(description="The part of the context, in whole words; empty for no answer.")
    score: float = Field(
        description="Probability of the answer's first token times that of its last one, among the tokens of the "
        "context and the choice of no answer. Places with the same text add up, those in other windows of a long "
        "context included, to 1 at most. The score of no answer is the least of any window."
    )
    start: int = Field(description="Index of the first character of the answer in the context.")
    end: int = Field(description="Index after the last character of the answer.")


class AnswerOutput(BaseModel):
    """The answers to one question."""

    answers: list[FoundAnswer] = Field(description="The answers, best first.")


class AnswerBody(ItemsBody):
    """Request body of `/answer`. An item is `{"question", "context"}`."""

    parameters: AnswerParameters = Field(AnswerParameters(), description="Parameters of the task.")


class AnswerAnswer(Answer):
    """Answer of `/answer`."""

    outputs: list[AnswerOutput] = Field(description="The answers to each question, in the order of the inputs.")


def _requests(body: AnswerBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    pairs = read_text_objects(body.inputs, {"question": str, "context": str}, limits, codecs.texts)
    n_windows = 0

    def request(pair: dict[str, Any]) -> AnswerRequest:
        nonlocal n_windows
        stop_if_abandoned()
        windows = codecs.texts.windows(pair["question"], pair["context"], body.parameters.stride)
        n_windows += len(windows)
        if n_windows > limits.max_items:
            detail = (
                f"the contexts make {n_windows} windows up to this one; a request takes {limits.max_items}, max_items"
            )
            raise InvalidItems(Problem(f"{detail}: a shorter stride makes fewer"))
        return AnswerRequest(windows=tuple(windows))

    return [*each_item(pairs, request)]


def _outputs(
    results: Sequence[AnswerResult], requests: Sequence[AnswerRequest], body: AnswerBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    options = body.parameters.model_dump(exclude={"stride"})
    return [
        {
            "answers": [
                {"answer": found.answer, "score": found.score, "start": found.start, "end": found.end}
                for found in answers(request.windows, result.spans, **options)
            ]
        }
        for request, result in zip(requests, results, strict=True)
    ]


def _estimate(requests: Sequence[AnswerRequest], body: AnswerBody, sizes: ModelSizes) -> int:
    """Count the tokens of all windows with two logits each, and the answers."""
    n_windows, n_tokens = sum(len(request.windows) for request in requests), sum(request.cost for request in requests)
    each = REQUEST_BYTES + body.parameters.top_k * RECORD_BYTES
    return len(requests) * each + n_windows * REQUEST_BYTES + 2 * n_tokens * WEIGHT_BYTES


SCHEMA = TaskSchema(
    task=ANSWER,
    body=AnswerBody,
    answer=AnswerAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=_estimate,
    usage=count_tokens,
    modality="text",
)
ENDPOINT = TaskEndpoint(
    name="answer",
    summary="Answer questions from contexts",
    description="Finds the answer to a question in a context. An item is an object of a `question` and a `context`; a "
    "context longer than the model's is read in overlapping windows. Returns the best answers to each question, with "
    "their places in the context and their scores, which are those of the pipeline `question-answering`.",
    schemas=(SCHEMA,),
    examples=(
        {
            "model": "bert-qa-en",
            "inputs": [{"question": "Where does Anna live?", "context": "Anna lives in London. She likes tea."}],
        },
    ),
)

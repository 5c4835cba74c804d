"""The comparison of a loaded text model with the answers that its folder promises.

These are `expected.json`, or else the worked example in the card that sentence-transformers writes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.checkpoint.card_code import Computed, Encoded
from models.checkpoint.card_examples import CARD_FILE, read_card_example
from models.checkpoint.common import Checkpoint
from models.checkpoint.expected_answers import EXPECTED_FILE, ExpectedAnswer, read_expected_answers
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec, TextItem
from models.codecs.text.items import clean_text
from models.errors import CheckpointError, InvalidItems, Problem
from models.family import Model
from models.tasks import Task
from models.tasks.generation import GenerateRequest
from models.tasks.text import (
    AnswerRequest,
    ClassifyTextRequest,
    ClassifyTokensRequest,
    EncodeTextRequest,
    ScoreTextRequest,
    SimilarityRequest,
    Tokens,
)

MAX_DIFFERENCE = float(np.finfo(np.float64).max)
"""Difference of numbers that cannot be compared."""
CARD_TOLERANCE = 0.01
"""Largest difference from the numbers of a card, relative to the largest of them but at least 1, that their rounding,
and another device or precision, explain."""
MAX_NEW_TOKENS = 16
"""Number of tokens that `generate` and `translate` add to an input of `expected.json`."""
STRIDE = 16
"""Number of tokens that the windows of an input of `answer` share."""

_LIMITS = Limits(max_items=1, max_pixels=0, max_characters=2**16)

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """The outcome of a comparison.

    Attributes:
        source: the file with the expected numbers.
        n_numbers: how many numbers were compared.
        largest_difference: the largest absolute difference of two numbers.
        tolerance: the largest difference that is explained by rounding.
        changed_files: the files that changed since the expected numbers were computed, as far as that is known.
    """

    source: str
    n_numbers: int
    largest_difference: float
    tolerance: float
    changed_files: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """True if no difference exceeds the tolerance."""
        return self.largest_difference <= self.tolerance

    @property
    def is_binding(self) -> bool:
        """True if a model that disagrees must not be served.

        A card may be outdated, and so is `expected.json` if other files of the folder have changed since.
        """
        return self.source == EXPECTED_FILE and not self.changed_files

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome in types that JSON has."""
        return {**asdict(self), "agrees": self.agrees}

    def describe(self, name: str) -> str:
        """Return a sentence about the outcome for the checkpoint of that name, without a full stop."""
        verb = "agree with" if self.agrees else "differ from"
        difference = f"by at most {self.largest_difference:.2g}, where {self.tolerance:g} is allowed"
        if self.largest_difference == MAX_DIFFERENCE:
            difference = "in how many numbers there are, or by NaN"
        changed = f"; since it was written, {', '.join(self.changed_files)} changed" if self.changed_files else ""
        return f"the answers of {name} {verb} the {self.n_numbers} numbers of its {self.source}, {difference}{changed}"


@torch.inference_mode()
def check_answers(checkpoint: Checkpoint, model: Model) -> SelfCheck | None:
    """Compare the answers of a model, in float32, with those that its folder promises; None if it promises none.

    An example of a card that the model cannot take, such as one of too many tokens, promises nothing. Only folders of
    text models promise answers.

    Raises:
        CheckpointError: `expected.json` is damaged, or has a case that the model cannot take.
    """
    if not isinstance(checkpoint, PublishedCheckpoint):
        return None
    expected = read_expected_answers(checkpoint.folder, checkpoint.name)
    if expected is not None:
        place = f"{checkpoint.name}/{EXPECTED_FILE}"
        pairs = [
            (_compute(checkpoint, model, case, f"{place}: cases[{index}]"), np.array(case.numbers))
            for index, case in enumerate(expected.cases)
        ]
        outcome = _compare(EXPECTED_FILE, pairs, expected.tolerance)
        return outcome if outcome.agrees else replace(outcome, changed_files=expected.changed_files(checkpoint.folder))
    example = read_card_example(checkpoint.folder)
    if example is None:
        return None
    try:
        numbers = _compute_card(checkpoint, model, example)
    except (InvalidItems, KeyError):
        return None
    largest = max(1.0, float(np.abs(example.expected).max()))
    tolerance = max(CARD_TOLERANCE * largest, example.resolution)
    return _compare(CARD_FILE, [(numbers, example.expected.ravel())], tolerance)


def compute_answer(checkpoint: PublishedCheckpoint, model: Model, task: str, value: Any) -> ExpectedAnswer:
    """Return what a model, in float32, computes from an input of a task, in the form of `expected.json`.

    Raises:
        KeyError: such a file has no such task, or the model does not serve it.
        InvalidItems: the model does not take the input.
    """
    by_name = {served.name: served for served in checkpoint.tasks}
    numbers = _NUMBERS[task](model, by_name[task], checkpoint.codec, value)
    return ExpectedAnswer(task=task, input=value, numbers=tuple(numbers.tolist()))


def _compute(checkpoint: PublishedCheckpoint, model: Model, case: ExpectedAnswer, place: str) -> Numbers:
    try:
        return np.array(compute_answer(checkpoint, model, case.task, case.input).numbers)
    except KeyError:
        raise CheckpointError(
            f"{place}: the task is {case.task!r}; such a file may have {_known(checkpoint)}"
        ) from None
    except InvalidItems as error:
        raise CheckpointError(f"{place}: {error}") from None


def _known(checkpoint: PublishedCheckpoint) -> str:
    return ", ".join(task.name for task in checkpoint.tasks if task.name in _NUMBERS)


def _compare(source: str, pairs: Sequence[tuple[Numbers, Numbers]], tolerance: float) -> SelfCheck:
    """Compare computed numbers with expected ones; NaN, or another number of them, is the largest difference."""
    largest = max(_difference(*pair) for pair in pairs)
    n_numbers = sum(expected.size for _, expected in pairs)
    return SelfCheck(source=source, n_numbers=n_numbers, largest_difference=largest, tolerance=tolerance)


def _difference(computed: Numbers, expected: Numbers) -> float:
    if computed.shape != expected.shape:
        return MAX_DIFFERENCE
    return float(np.nan_to_num(np.abs(computed - expected), nan=MAX_DIFFERENCE, posinf=MAX_DIFFERENCE).max())


def _compute_card(checkpoint: PublishedCheckpoint, model: Model, example: Computed) -> Numbers:
    codec, by_name = checkpoint.codec, {task.name: task for task in checkpoint.tasks}
    if example.kind == "scores":
        pairs = [TextItem(*pair) for pair in zip(example.queries.texts, example.documents.texts, strict=True)]
        texts = [ClassifyTextRequest(tokens=tokens) for tokens in codec.tokenize(pairs, truncate=True)]
        results = model.run(by_name["classify"], texts)
        return np.array([_by_label(model, result.labels) for result in results]).ravel()
    queries, documents = (
        codec.tokenize(list(map(TextItem, side.texts)), truncate=True, prompt=_prompt(codec, side))
        for side in (example.queries, example.documents)
    )
    requests = [SimilarityRequest(texts=(query, *documents)) for query in queries]
    return torch.cat([result.scores for result in model.run(by_name["similarity"], requests)]).double().numpy()


def _prompt(codec: TextCodec, encoded: Encoded) -> str:
    """Return the prompt of the texts; as in the library, a role whose prompt is missing has an empty one."""
    if encoded.prompt is not None:
        return encoded.prompt
    if encoded.prompt_name is None and encoded.role is not None:
        return codec.prompts.by_name.get(encoded.role, "")
    return codec.prompts.choose(encoded.prompt_name)


def _tokens(codec: TextCodec, value: Any, *, prompt: str = "") -> Tokens:
    (tokens,) = codec.tokenize(codec.parse([value], _LIMITS), prompt=prompt)
    return tokens


def _encode(model: Model, task: Task, codec: TextCodec, value: Any) -> Numbers:
    tokens = _tokens(codec, value, prompt=codec.prompts.choose(None))
    return _to_numbers(model.run(task, [EncodeTextRequest(tokens=tokens)])[0].embedding)


def _classify(model: Model, task: Task, codec: TextCodec, value: Any) -> Numbers:
    (result,) = model.run(task, [ClassifyTextRequest(tokens=_tokens(codec, value))])
    return np.array(_by_label(model, result.labels))


def _classify_tokens(model: Model, task: Task, codec: TextCodec, value: Any) -> Numbers:
    return _to_numbers(model.run(task, [ClassifyTokensRequest(tokens=_tokens(codec, value))])[0].scores)


def _score_text(model: Model, task: Task, codec: TextCodec, value: Any) -> Numbers:
    return _to_numbers(model.run(task, [ScoreTextRequest(tokens=_tokens(codec, value))])[0].log_probs)


def _answer(model: Model, task: Task, codec: TextCodec, value: Any) -> Numbers:
    if not isinstance(value, dict) or value.keys() != {"question", "context"}:
        raise InvalidItems(Problem('the input must be an object of "question" and "context"'))
    try:
        question, context = (clean_text(value[name], _LIMITS, name) for name in ("question", "context"))
    except ValueError as error:
        raise InvalidItems(Problem(str(error))) from None
    windows = codec.windows(question, context, STRIDE)
    return _to_numbers(torch.cat(model.run(task, [AnswerRequest(windows=tuple(windows))])[0].spans))


def _generate(model: Model, task: Task, codec: TextCodec, value: Any) -> Numbers:
    request = GenerateRequest(tokens=_tokens(codec, value), max_new_tokens=MAX_NEW_TOKENS)
    (result,) = model.run(task, [request])
    return np.array([token.id for token in result.sequences[0].tokens], np.float64)


_NUMBERS: Mapping[str, Callable[[Model, Task, TextCodec, Any], Numbers]] = {
    "encode": _encode,
    "classify": _classify,
    "classify_tokens": _classify_tokens,
    "score_text": _score_text,
    "answer": _answer,
    "generate": _generate,
    "translate": _generate,
}
"""The functions that compute the numbers of a case, by the name of its task."""


def _by_label(model: Model, scored: Sequence[Any]) -> list[float]:
    """Return the scores of the labels in the order of the model's labels."""
    scores = {each.label: each.score for each in scored}
    return [scores[label] for label in model.labels]


def _to_numbers(tensor: torch.Tensor) -> Numbers:
    return tensor.double().flatten().numpy()

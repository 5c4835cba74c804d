"""Right answers are recognised, and wrong ones are not."""

import base64
import io
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from benchmarks.server.http_client import Answer
from benchmarks.server.soak.expectation import Expectation

RIGHT = {"outputs": [{"label": "x", "score": 0.5, "vector": [0.1, -0.2]}], "usage": {"items": 1}}


def answer(content: Any, status: int = 200) -> Answer:
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Answer(status, b"", body)


def difference(learnt: list[Any], later: Any, status: int = 200) -> str | None:
    expectation = Expectation.of([(answer(content), f"id-{number}") for number, content in enumerate(learnt)])
    return expectation.differs(answer(later, status), "id-9")


def changed(**values: Any) -> dict[str, Any]:
    return {"outputs": [{**RIGHT["outputs"][0], **values}], "usage": {"items": 1}}  # type: ignore[index]


@pytest.mark.parametrize("later", [RIGHT, changed(score=0.50001), changed(vector=[0.1, -0.20001])])
def test_an_answer_may_differ_by_rounding(later: Any) -> None:
    assert difference([RIGHT], later) is None


@pytest.mark.parametrize(
    ("later", "where"),
    [
        (changed(score=0.6), "0.6 in place of 0.5 at /0/outputs/0/score"),
        (changed(label="y"), "'y' in place of 'x'"),
        (changed(vector=[0.1, 0.2]), "/vector"),
        (changed(vector=[0.1]), "/vector"),
        (changed(other=1), "1 in place of 'nothing'"),
        ({"outputs": [], "usage": {"items": 1}}, "0 in place of 1 at /0/outputs/length"),
        (b"{", "cannot be read"),
        (b"", "in place of"),
    ],
)
def test_an_answer_may_not_differ_otherwise(later: Any, where: str) -> None:
    assert where in (difference([RIGHT], later) or "")


def test_another_status_is_a_difference() -> None:
    assert difference([RIGHT], RIGHT, status=503) == "status 503 in place of 200"


def test_what_differs_at_rest_is_not_compared() -> None:
    learnt = [{"id": "a", "created": 1, "text": "x"}, {"id": "b", "created": 1, "text": "x"}]
    assert difference(learnt, {"id": "c", "created": 1, "text": "x"}) is None
    assert difference(learnt, {"id": "c", "created": 1, "text": "y"}) is not None


def test_the_ids_of_requests_are_not_compared() -> None:
    learnt = [{"request_id": "id-0"}, {"request_id": "id-1"}]
    expectation = Expectation.of([(answer(content), f"id-{number}") for number, content in enumerate(learnt)])
    assert not expectation.varying
    assert expectation.differs(answer({"request_id": "id-9"}), "id-9") is None
    assert expectation.differs(answer({"request_id": "id-8"}), "id-9") is not None


def png_url(value: int) -> dict[str, str]:
    file = io.BytesIO()
    Image.new("L", (4, 4), value).save(file, "PNG")
    return {"picture": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()}


def test_pictures_may_differ_by_rounding() -> None:
    assert difference([png_url(100)], png_url(101)) is None
    assert difference([png_url(100)], png_url(110)) is not None


def npy(*values: float) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values, np.float32))
    return file.getvalue()


def test_arrays_and_events_are_compared_by_their_values() -> None:
    assert difference([npy(1, 2)], npy(1, 2.0001)) is None
    assert difference([npy(1, 2)], npy(1, 3)) is not None
    events = b'data: {"text": "a", "log_prob": %s}\n\ndata: [DONE]\n\n'
    assert difference([events % b"-0.5"], events % b"-0.50001") is None
    assert difference([events % b"-0.5"], events % b"-0.7") is not None

"""Outputs as files, and as a table for people."""

import io
import re
from typing import Any

import numpy as np
import pytest

from app.cli.errors import Refused
from app.cli.inputs import Item
from app.cli.outputs import ArrayWriter, CsvWriter, JsonWriter
from app.cli.requests import Answer
from app.cli.tables import TableWriter
from tests.app.items import npy


def answer(*outputs: Any, values: tuple[Any, ...] = (), place: str = "a.txt, line", **members: Any) -> Answer:
    items = [Item(value, f"{place} {number}") for number, value in enumerate(values, 1)]
    content = {"model": "m", "outputs": [*outputs], "usage": {"items": len(outputs)}} | members
    return Answer(items=items or None, content=content)


def table(*answers: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """The rows of the table, without spaces at their ends, and what is said on standard error."""
    monkeypatch.setenv("COLUMNS", "80")
    writer = TableWriter(has_pictures=False)
    for each in answers:
        writer.write(each)
    writer.finish()
    shown = capsys.readouterr()
    return "\n".join(line.rstrip() for line in shown.out.splitlines() if line.strip(" ─")), shown.err


def test_several_single_values_leave_out_longer_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [{"score": 1 / 3, "is_anomaly": True, "parts": [0.1] * 9}, {"score": 2, "is_anomaly": False, "parts": []}]
    shown, said = table(answer(*outputs, values=([1], [2])), monkeypatch=monkeypatch, capsys=capsys)
    assert shown.splitlines() == [
        "          score     is_anomaly",
        " line 1   0.33333   yes",
        " line 2   2         no",
    ]
    assert said == "Not shown: parts; --json prints all.\n"


def test_lists_and_objects_are_put_into_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entities = [{"group": "PER", "score": 0.5, "word": "[bold] Anna", "start": 0}, {"group": "LOC", "score": 0.25}]
    outputs = [{"entities": entities}, {"entities": [0.5, 1, 2, 3]}, {"entities": ["a", "b"]}]
    values = ("A text that is far longer than a label", {"question": "Who?"}, "data:image/png;base64,AAAA")
    shown, said = table(
        answer(*outputs, values=values, explained=[0.5]),
        answer({"entities": None}),
        monkeypatch=monkeypatch,
        capsys=capsys,
    )
    assert [re.sub(r" {3,}", " | ", line.strip()) for line in shown.splitlines()] == [
        "entities",
        "A text that is far longer than … | PER  score 0.5  word [bold] Anna  start 0",
        "LOC  0.25",
        "Who? | 4 numbers: 0.5 1 2 …",
        "a.txt, line 3 | a  b",
        "1",
        "explained: 0.5",
    ]
    assert said == ""


def test_a_text_with_a_comma_is_shown_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, _ = table(answer({"x": 1}, values=("Hello, world",)), monkeypatch=monkeypatch, capsys=capsys)
    assert " Hello, world   1" in shown.splitlines()


def test_inputs_that_were_cut_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = answer({"embedding": [1.0]}, values=("a",), usage={"items": 1, "truncated": 2})
    _, said = table(cut, cut, monkeypatch=monkeypatch, capsys=capsys)
    assert said == "Warning: 4 of the inputs were cut, because they are too long.\n"


def test_json_joins_the_answers() -> None:
    file = io.BytesIO()
    writer = JsonWriter(file)
    writer.write(answer(1, 2, usage={"items": 2, "tokens": 5}, warnings=[{}]))
    writer.write(answer(3, usage={"items": 1, "tokens": 2}))
    writer.finish()
    assert file.getvalue() == b'{"model":"m","outputs":[1,2,3],"usage":{"items":3,"tokens":7}}\n'


def test_csv_has_a_column_for_each_number() -> None:
    file = io.BytesIO()
    writer = CsvWriter(file)
    writer.write(answer({"x": [[1, 2.5]], "labels": [{"a": 1}], "score": None}, values=("t",)))
    assert file.getvalue().decode().splitlines() == [
        "input,x_0,x_1,labels,score",
        '"a.txt, line 1",1,2.5,"[{""a"":1}]",',
    ]
    with pytest.raises(Refused, match=r"a.txt, line 1: the outputs have different columns"):
        writer.write(answer({"x": [1], "labels": [], "score": 2}, values=("t",)))


def test_arrays_are_joined_if_they_fit() -> None:
    file = io.BytesIO()
    writer = ArrayWriter(file)
    for array in (np.zeros((2, 3), np.int8), np.ones((1, 3), np.int8)):
        writer.write(Answer(items=None, content=npy(array)))
    writer.finish()
    written = np.load(io.BytesIO(file.getvalue()))
    assert (written.tolist(), written.dtype) == ([[0, 0, 0], [0, 0, 0], [1, 1, 1]], np.int8)
    writer.write(Answer(items=None, content=npy(np.zeros((1, 4)))))
    with pytest.raises(Refused, match="differ in shape"):
        writer.finish()

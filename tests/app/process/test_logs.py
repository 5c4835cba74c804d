import json
import logging
import re
import sys

import pytest

from app.keys.api_key import new_secret
from app.process.logs import JsonFormatter, TextFormatter


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["json", "text"])
def test_no_part_of_a_line_shows_a_key(formatter: logging.Formatter) -> None:
    secret = new_secret()
    try:
        raise ValueError(f"wrong: {secret}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "message %s", (secret,), sys.exc_info())
    record.path = f"/{secret}/load"
    line = formatter.format(record)
    assert secret[3:] not in line
    assert line.count("mf_[redacted]") == 3
    assert "/mf_[redacted]/load" in line


def record_of(message: str, error: Exception | None = None, **extra: object) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, None)
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, message, None, exc_info)
    vars(record).update(extra)
    return record


FORGED = "a\n2026-01-01T00:00:00.000+00:00 ERROR   forged\r\x1b[2K\x9b\x7f\u2028\u2029\u202e\u200b\x00\ud800"
"""A text with which a client could begin a line of its own, or change what a terminal shows."""


def test_no_text_of_a_client_begins_a_line_or_reaches_the_terminal() -> None:
    line = TextFormatter().format(record_of(FORGED, ValueError(FORGED), path=FORGED))
    first, *trace = line.split("\n")
    assert re.match(r"[\d-]{10}T[\d:.]{12}\+00:00 WARNING a\\n2026-01-01T", first)
    assert all(each.startswith("    ") for each in trace)
    assert all(character.isprintable() for character in line.replace("\n", ""))


def test_no_text_of_a_client_looks_like_a_field() -> None:
    line = TextFormatter().format(
        record_of("request", path="/x status=200", agent='a" key="admin', empty="", model="m")
    )
    assert line.endswith(r'request path="/x status=200" agent="a\" key=\"admin" empty="" model=m')


def test_json_holds_any_text_and_shows_none_that_a_terminal_acts_on() -> None:
    extra = {"path": FORGED, "huge": 10**30, "nested": {"a": [1.5, None]}}
    line = JsonFormatter().format(record_of(FORGED, ValueError(FORGED), **extra))
    assert all(character.isprintable() for character in line)
    fields = json.loads(line)
    assert fields["message"] == fields["path"] == FORGED
    assert fields["huge"] == 10**30
    assert FORGED[:50] in fields["exception"]

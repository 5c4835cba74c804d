"""Structured logs: one JSON object a line, to standard error."""

import io
import json
import logging
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from logging.config import dictConfig
from typing import Any

import orjson
from typing_extensions import override

from app.keys.api_key import redact
from app.process.log_output import NonBlockingHandler
from app.settings import Settings

_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


_UNSAFE = r"\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
"""Characters from U+007F on that are invisible, or change the lines or the order of what is shown."""
_UNSAFE_IN_JSON = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_TEXT = re.compile(rf"[\x00-\x1f\\{_UNSAFE}]")
_PLAIN_VALUE = re.compile(rf'[^\x00-\x20"=\\{_UNSAFE}]+')
"""Values that need no quotes in the text format."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object.

    Its fields are the time in UTC, the level, the logger, the message, whatever was passed as `extra`, and the
    traceback if there is one. API keys are redacted, because a client may send one in its path or its request id.
    Characters that terminals act on are escaped.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = redact(_to_json(line))
        if text.isascii() and "\x7f" not in text:
            return text
        return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _to_json(line: dict[str, Any]) -> str:
    """Render a line, also one with half of a surrogate pair, as names of files may have, or with a huge number."""
    try:
        return orjson.dumps(line, default=str).decode()
    except orjson.JSONEncodeError:
        plain = {key: value if isinstance(value, bool | int | None) else str(value) for key, value in line.items()}
        return json.dumps(plain, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """Formats a record as a line of text for people, with the traceback, indented, below it.

    Only this begins a line, and only its own fields look like fields, whatever clients send: values with spaces are
    quoted, and control characters escaped as Python does.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        extra = [f"{key}={_quoted(value)}" for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS]
        line = f"{_utc(record.created)} {record.levelname:<7} {_escaped(record.getMessage())} {' '.join(extra)}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).split("\n")
            line += "".join([f"\n    {_escaped(each)}" for each in trace])
        return redact(line)


def _quoted(value: object) -> str:
    """Return a value as it is if it is one plain word, else in quotes."""
    text = str(value)
    if _PLAIN_VALUE.fullmatch(text):
        return text
    return '"' + _escaped(text).replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return _UNSAFE_IN_TEXT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def configure_logs(settings: Settings) -> None:
    """Send everything that is logged, uvicorn's own messages and warnings of Python included, through one handler.

    No line names the thread or the process that logs, so they are not looked up: that would take longer than all the
    rest of logging a line.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.captureWarnings(True)
    formatter = JsonFormatter if settings.log_format == "json" else TextFormatter
    level = settings.log_level.upper()
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": {"()": _handler, "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {"asyncio": {"level": "WARNING"}},
        }
    )


def _handler() -> logging.Handler:
    """Return a handler of standard error, or of what stands in its place and is no file."""
    try:
        return NonBlockingHandler(sys.stderr.fileno())
    except (AttributeError, io.UnsupportedOperation):
        return logging.StreamHandler()


def _utc(seconds: float) -> str:
    """Return a time since 1970 as ISO 8601 writes it, with milliseconds."""
    whole = int(seconds)
    return f"{_whole_second(whole)}.{int((seconds - whole) * 1000):03d}+00:00"


@lru_cache(maxsize=1)
def _whole_second(seconds: int) -> str:
    """Return a time in UTC up to its seconds; most lines of a busy server share it with the line before."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")

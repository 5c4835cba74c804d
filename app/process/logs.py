"""Structured logs: one JSON object a line, to standard error."""

import logging
from datetime import UTC, datetime
from functools import lru_cache
from logging.config import dictConfig
from typing import Any

import orjson
from typing_extensions import override

from app.keys.api_key import redact
from app.settings import Settings

_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object.

    Its fields are the time in UTC, the level, the logger, the message, whatever was passed as `extra`, and the
    traceback if there is one. API keys are redacted, because a client may send one in its path or its request id.
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
        return redact(orjson.dumps(line, default=str).decode())


class TextFormatter(logging.Formatter):
    """Formats a record as a line of text for people, with the traceback below it."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{key}={value}" for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS)
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return redact(f"{_utc(record.created)} {record.levelname:<7} {record.getMessage()} {extra}{trace}")


def configure_logs(settings: Settings) -> None:
    """Send everything that is logged, uvicorn's own messages included, through one handler.

    No line names the thread or the process that logs, so they are not looked up: that would take longer than all the
    rest of logging a line.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    formatter = JsonFormatter if settings.log_format == "json" else TextFormatter
    level = settings.log_level.upper()
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {"asyncio": {"level": "WARNING"}},
        }
    )


def _utc(seconds: float) -> str:
    """Return a time since 1970 as ISO 8601 writes it, with milliseconds."""
    whole = int(seconds)
    return f"{_whole_second(whole)}.{int((seconds - whole) * 1000):03d}+00:00"


@lru_cache(maxsize=1)
def _whole_second(seconds: int) -> str:
    """Return a time in UTC up to its seconds; most lines of a busy server share it with the line before."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")

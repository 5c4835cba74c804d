import logging
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

"""Fields of foreign dialects that are taken only where they ask for nothing that this server does not do."""

import reprlib
from typing import Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def only(*neutral: Any, reason: str) -> AfterValidator:
    """Return a validator that refuses every value other than null and the neutral ones, with the reason."""

    def check(value: Any) -> Any:
        if value is None or value in neutral:
            return value
        taken = " or ".join(["null", *map(_shown, neutral)])
        raise PydanticCustomError(
            "unsupported", "{reason}; leave it out, or send {taken}", {"reason": reason, "taken": taken}
        )

    return AfterValidator(check)


def _shown(value: Any) -> str:
    """Return a neutral value as messages show it: `false` as in JSON."""
    return str(value).lower() if isinstance(value, bool) else reprlib.repr(value)

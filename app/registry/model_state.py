"""The states of a model, as clients see them."""

from enum import StrEnum

LOADING_RETRY_AFTER_S = 1
"""Time in seconds after which clients are asked to try again while a model is loading, or waits for memory."""
DOWN_RETRY_AFTER_S = 30
"""Time in seconds after which clients are asked to try again while a model is in another state but ready."""


class State(StrEnum):
    """The state of a model, as clients see it. An idle model is not in memory; the next request for it loads it."""

    LOADING = "loading"
    READY = "ready"
    RECOVERING = "recovering"
    IDLE = "idle"
    UNLOADING = "unloading"
    UNLOADED = "unloaded"
    FAILED = "failed"


def explain_state(name: str, state: State, reason: str | None) -> str:
    """Return the state of a model with its reason, and what can be done about it."""
    load = f"POST /models/{name}/load"
    match state:
        case State.LOADING:
            return f"{state}; try again when it is ready"
        case State.FAILED:
            return f"{state}: {reason}; once that is mended, {load} loads it again"
        case _:
            return f"{state}; {load} loads it"

"""What is sent and how long is waited, without any sending: both clients do it in their own way."""

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from manifold_client.errors import ManifoldError, ServerFailed, error_of
from manifold_client.inputs import as_batch, to_json, to_npy

NPY = "application/x-npy"
RETRIED = (429, 503)
"""Status codes after which a call is made again: the refusals that pass by themselves."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 60.0
"""Bounds of the wait before a call is made again, in seconds."""
GRACE_S = 5.0
"""Time in seconds that the client waits for the answer after the deadline that it has given to the server."""


@dataclass(frozen=True)
class Call:
    """One request to the server.

    Attributes:
        timeout_s: time in seconds for the answer; the server's default if None.
    """

    method: str
    path: str
    json: Any = None
    content: bytes | None = None
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None

    def arguments(self, default_timeout_s: float) -> dict[str, Any]:
        """Return the keyword arguments of `httpx.Client.build_request`.

        Raises:
            ValueError: the time is not a number of seconds above 0.
        """
        headers = dict(self.headers)
        if self.timeout_s is not None:
            if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
                raise ValueError(f"timeout is {self.timeout_s}; it must be a number of seconds above 0")
            headers["x-timeout-ms"] = str(max(1, round(self.timeout_s * 1000)))
        wait_s = default_timeout_s if self.timeout_s is None else self.timeout_s
        body: dict[str, Any] = {} if self.json is None else {"json": self.json}
        if self.content is not None:
            body = {"content": self.content}
        return {
            "method": self.method,
            "url": self.path,
            "params": list(self.params),
            "headers": headers,
            "timeout": httpx.Timeout(wait_s + GRACE_S, connect=10.0),
            **body,
        }


@dataclass(frozen=True)
class Retries:
    """How often a call is made again, and for how long together.

    Attributes:
        n_retries: number of further attempts.
        max_wait_s: longest time in seconds to wait before an attempt; a server that asks for more is not waited for.
    """

    n_retries: int = 3
    max_wait_s: float = LONGEST_WAIT_S

    def wait_s(self, attempt: int, response: httpx.Response | None) -> float | None:
        """Return the time to wait after an attempt, the first being 0; None if the call is not to be made again.

        The time is that of the header `retry-after`, else it doubles from attempt to attempt, with a random part so
        that clients do not come back all at once. `response` is None if the connection failed.
        """
        if attempt >= self.n_retries or (response is not None and response.status_code not in RETRIED):
            return None
        given = "" if response is None else response.headers.get("retry-after", "")
        doubled = FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311 not for a secret
        seconds = float(given) if given.isdecimal() else doubled
        return seconds if seconds <= self.max_wait_s else None


def task_call(
    task: str,
    inputs: Any,
    parameters: Mapping[str, Any],
    *,
    model: str | None,
    timeout_s: float | None,
    takes_arrays: bool,
    has_inputs: bool = True,
) -> Call:
    """Return the call of a task. Parameters that are None are left out.

    An array of numbers is sent as a NumPy file where the task takes one, everything else as JSON.
    """
    path = "/" + task.replace("_", "-")
    given = {name: value for name, value in parameters.items() if value is not None}
    array = as_batch(inputs) if takes_arrays else None
    if array is not None:
        pairs = [*([("model", model)] if model else []), *_query(given)]
        headers = (("content-type", NPY),)
        return Call("POST", path, content=to_npy(array), params=tuple(pairs), headers=headers, timeout_s=timeout_s)
    body: dict[str, Any] = {"model": model} if model else {}
    if has_inputs:
        body["inputs"] = to_json(inputs)
    if given:
        body["parameters"] = to_json(given)
    return Call("POST", path, json=body, timeout_s=timeout_s)


def _query(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            pairs += [(f"{name}_{member}", _text(each)) for member, each in value.items()]
        elif isinstance(value, list | tuple):
            pairs += [(name, _text(each)) for each in value]
        else:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def error_in(response: httpx.Response) -> ManifoldError:
    """Return the error for an answer whose status is not 200; its body has been read."""
    try:
        content = response.json()
    except ValueError:
        content = None
    return error_of(response.status_code, content, response.headers.get("x-request-id"))


def json_in(response: httpx.Response) -> Any:
    """Return the JSON of an answer.

    Raises:
        ManifoldError: the status is not that of a success, or the body is not JSON.
    """
    if not response.is_success:
        raise error_in(response)
    try:
        return response.json()
    except ValueError:
        raise ServerFailed("the answer is not JSON", status=response.status_code) from None


def event_in(line: str) -> dict[str, Any] | None:
    """Return the content of a line of a stream of Server-Sent Events; None for lines without any.

    Raises:
        ManifoldError: the event says that the stream failed.
    """
    if not line.startswith("data:"):
        return None
    try:
        content = json.loads(line[len("data:") :])
    except ValueError:
        raise ServerFailed(f"an event of the stream is not JSON: {line[:100]!r}") from None
    if not isinstance(content, dict):
        raise ServerFailed(f"an event of the stream is not an object: {line[:100]!r}")
    if "error" in content:
        problem = content["error"] if isinstance(content["error"], dict) else {"detail": content["error"]}
        raise error_of(problem.get("status", 500), problem, problem.get("request_id"))
    return content

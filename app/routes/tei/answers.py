"""What the routes of Text Embeddings Inference share: reading bodies, and the headers that count and time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request

from app.errors import Fault, InvalidRequest, PayloadTooLarge
from app.http.content import JSON
from app.http.responses import TaskResponse
from app.routes.foreign import ForeignRequest, Reply, call_task, json_response, receive
from app.routes.task_call import Header
from app.routes.tei.dialect import EMPTY
from app.routes.tei.info import find_text_model
from app.schemas.foreign.tei import TeiTruncation
from app.schemas.shared.envelope import Strict
from app.schemas.shared.parsing import parse_body

BodyT = TypeVar("BodyT", bound=Strict)
NAMES = {
    "parameters/truncation_side": "truncation_direction",
    "parameters/dimensions": "dimensions",
    "parameters/normalize": "normalize",
    "parameters/prompt_name": "prompt_name",
    "parameters/sparse": "",
}
"""Names of this dialect for the parameters of native tasks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A request whose body has been received.

    Attributes:
        foreign: the request.
        model: the id of the model in its path.
        started_s: the time at which it arrived, of `time.perf_counter`.
    """

    foreign: ForeignRequest
    model: str
    started_s: float = field(default_factory=time.perf_counter)

    async def read(self, kind: type[BodyT]) -> BodyT:
        """Return the body, checked.

        Raises:
            MalformedBody, InvalidRequest: the body is refused.
        """
        return await self.foreign.parse(lambda values: parse_body(kind, values, strict=True))

    async def call(
        self, task: str, inputs: Any, parameters: Mapping[str, Any], names: Mapping[str, str] | None = None
    ) -> Reply:
        """Call a native task; see `call_task`.

        Raises:
            UnknownModel, TaskNotServed: there is no such model, or it reads no texts.
        """
        find_text_model(self.foreign.services, self.model, "POST")
        values = {"model": self.model, "inputs": inputs, "parameters": parameters}
        return await call_task(self.foreign, task, values, {**(names or {}), **NAMES})

    async def answer(self, content: Any, reply: Reply, n_characters: int) -> TaskResponse:
        """Return the answer in JSON, with the headers that count and time."""
        return await json_response(self.foreign, content, [*reply.headers, *self._headers(reply, n_characters)])

    def respond(self, content: bytes, reply: Reply, n_characters: int) -> TaskResponse:
        """Return an answer that is JSON already, with the headers that count and time."""
        return TaskResponse(content, JSON, [*reply.headers, *self._headers(reply, n_characters)])

    def check_not_empty(self, inputs: Any, place: str) -> None:
        """Check that the inputs at a place in the body, which may be of any form, are not an empty list.

        Raises:
            InvalidRequest: they are.
        """
        if inputs == []:
            self.check_count(0, place)

    def check_count(self, n_inputs: int, place: str) -> None:
        """Check the number of the inputs at a place in the body.

        Raises:
            InvalidRequest: there are none.
            PayloadTooLarge: there are more than a request may have.
        """
        limit = self.foreign.services.settings.max_items
        if n_inputs == 0:
            raise InvalidRequest.of([Fault(f"/{place}", EMPTY)])
        if n_inputs > limit:
            raise PayloadTooLarge(f"{place} has {n_inputs} items; a request takes 1 to {limit}")

    def _headers(self, reply: Reply, n_characters: int) -> list[Header]:
        total_ms = (time.perf_counter() - self.started_s) * 1000
        outcome = reply.outcome
        queue_ms, inference_ms = (outcome.queue_ms, outcome.inference_ms) if outcome else (0.0, 0.0)
        times = {
            b"x-compute-time": reply.decoding_ms + inference_ms,
            b"x-total-time": total_ms,
            b"x-tokenization-time": reply.decoding_ms,
            b"x-queue-time": queue_ms,
            b"x-inference-time": inference_ms,
        }
        device = self.foreign.services.settings.device
        return [
            (b"x-compute-type", b"cpu" if device == "cpu" else b"gpu"),
            (b"x-compute-characters", b"%d" % n_characters),
            (b"x-compute-tokens", b"%d" % reply.usage.get("tokens", 0)),
            *((name, b"%d" % round(value)) for name, value in times.items()),
        ]


async def receive_for(request: Request, model: str) -> Received:
    """Receive the body of a request for the model in its path."""
    started_s = time.perf_counter()
    return Received(foreign=await receive(request), model=model.rstrip("/"), started_s=started_s)


def truncation(body: TeiTruncation) -> dict[str, Any]:
    """Return the native parameters that say where texts are cut; they are cut unless the body says otherwise."""
    truncate = body.truncate is not False
    side = body.truncation_direction
    return {"truncate": truncate, "truncation_side": side.lower() if side and truncate else None}


def count_characters(items: Any) -> int:
    """Return the number of characters of texts, in lists or not; token ids have none."""
    if isinstance(items, str):
        return len(items)
    return sum(map(count_characters, items)) if isinstance(items, list | tuple) else 0

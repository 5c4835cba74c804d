"""A call of a task: the model is found, the body checked and converted, and the requests are run.

Every dialect makes its calls by these functions; it differs from the others only in how it reads and how it answers.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.concurrency.request_memory import MemoryShare
from app.engine.job import Outcome
from app.errors import InvalidRequest
from app.http.body_memory import MAX_EXPANSION, SMALL_BODY_BYTES
from app.http.context import RequestContext
from app.inference.deadline import Deadline
from app.inference.run import infer
from app.inference.stream import Stream
from app.registry.loaded_model import LoadedModel
from app.registry.served_model import ServedModel
from app.routes.encoded_images import decode_with_images, may_have_files
from app.routes.encoded_sounds import decode_with_sounds
from app.schemas.shared.envelope import Body
from app.schemas.shared.kinds import kind_of_inputs
from app.schemas.shared.memory import of_networks
from app.schemas.shared.parsing import parse_body
from app.schemas.shared.query import query_parameters
from app.schemas.shared.quick_texts import are_quick_texts
from app.schemas.shared.task_schema import CodecSchema, ModelCodecs, TaskEndpoint, TaskSchema
from app.services import Services
from models.checkpoint import Checkpoint
from models.codecs import SentenceCodec
from models.tasks import Request as TaskRequest

Header = tuple[bytes, bytes]
NOT_FOR_SENTENCES = ("fit", "invert", "centre", "format", "length")
"""Names of parameters of images, sounds and series, which models of sentences refuse."""
TOKENS_BYTES = 32
"""Most memory for a byte of a body of texts: its characters, cleaned, and 16 bytes for each token."""


@dataclass(slots=True)
class Target:
    """The model that a call is for, as it is in memory, the schema by which it serves the task, and who calls.

    The memory is that of the request.
    """

    model: ServedModel
    checkpoint: Checkpoint
    loaded: LoadedModel
    schema: TaskSchema | CodecSchema
    memory: MemoryShare
    client: str


@dataclass(kw_only=True, slots=True)
class TaskCall:
    """A call whose body has been checked. `requests` are set only for streams of foreign dialects."""

    services: Services
    model: ServedModel
    loaded: LoadedModel
    schema: TaskSchema | CodecSchema
    memory: MemoryShare
    codecs: ModelCodecs
    body: Body
    n_bytes: int
    client: str = ""
    requests: list[TaskRequest] = field(default_factory=list)

    def parameter(self, name: str) -> Any:
        """Return a parameter of the request; None if the task has none of this name."""
        parameters = vars(self.body).get("parameters")
        return None if parameters is None else vars(parameters).get(name)


async def find_target(services: Services, endpoint: TaskEndpoint, values: Any, context: RequestContext) -> Target:
    """Find the model that a body names, or the default model, and check that the model's queue has room.

    The body, in the native form, need not be valid. A model that is idle is loaded first. The caller must release
    `loaded` once the request is answered, or its stream has begun; until then, that version of the model stays.

    Raises:
        UnknownModel, TaskNotServed, ModelUnavailable, QueueFull, InvalidRequest: the call is refused.
    """
    context.task = endpoint.name
    model = _choose_model(services, endpoint, values)
    context.model = model.name
    description = model.checkpoint
    loaded = await model.acquire()
    try:
        if loaded.checkpoint is not description:  # it was loaded for this request, and its folder has changed
            services.registry.model_for(endpoint.name, model.name)
        schema = endpoint.schema_for(loaded.checkpoint.tasks)
        if isinstance(schema, TaskSchema):
            loaded.engine.require_room()
    except BaseException:
        loaded.release()
        raise
    return Target(model, loaded.checkpoint, loaded, schema, context.memory, context.client)


def _choose_model(services: Services, endpoint: TaskEndpoint, values: Any) -> ServedModel:
    members = values if isinstance(values, dict) else {}
    name = members.get("model")
    if isinstance(name, str):
        return services.registry.model_for(endpoint.name, name)
    served = services.registry.default_models.get(endpoint.name, {})
    takes_texts = endpoint.is_about_texts or "text" in served  # if no model takes sentences, a string is a bad image
    kind = kind_of_inputs(members.get("inputs"), [kind for kind in endpoint.kinds if kind != "text" or takes_texts])
    return services.registry.default_model(endpoint.name, kind)


async def check_call(
    services: Services, target: Target, values: Any, n_bytes: int, query: list[tuple[str, str]] | None = None
) -> TaskCall:
    """Check a body in the native form.

    Args:
        services: the components of the server.
        target: the model and the schema.
        values: the body.
        n_bytes: the size of the body as it was received.
        query: the parameters in the URL, for a body that is not JSON; None for one that is.

    Raises:
        InvalidRequest: a field is unknown, missing or out of range.
    """
    schema, checkpoint, loaded = target.schema, target.checkpoint, target.loaded
    unsuitable = NOT_FOR_SENTENCES if isinstance(checkpoint.codec, SentenceCodec) else ()

    def parse() -> Body:
        if query is None:
            return parse_body(schema.body, values, strict=True, unsuitable=unsuitable)
        given = {**values, "parameters": query_parameters(schema.body, query)}
        return parse_body(schema.body, given, strict=False, unsuitable=unsuitable)

    is_quick = query is not None or n_bytes <= services.settings.inline_bytes
    return TaskCall(
        services=services,
        model=target.model,
        loaded=loaded,
        schema=schema,
        memory=target.memory,
        codecs=ModelCodecs(
            items=checkpoint.codec,
            latents=loaded.latents,
            labels=loaded.labels,
            generation_defaults=loaded.generation_defaults,
        ),
        body=parse() if is_quick else await services.pools.run(parse, n_bytes=n_bytes),
        n_bytes=n_bytes,
        client=target.client,
    )


async def decode_requests(call: TaskCall, schema: TaskSchema) -> list[TaskRequest]:
    """Convert the items of the body into task requests, on a thread if that may take long.

    Arrays take half of what the parsed numbers do at most, and tokens of texts about as much as the body and its texts.

    Raises:
        PayloadTooLarge, MemoryExhausted: there is no memory for them.
        InvalidItems: an item is refused.
        InvalidRequest: a parameter is refused.
    """
    if call.n_bytes > SMALL_BODY_BYTES:
        call.memory.claim(TOKENS_BYTES * call.n_bytes if schema.modality == "text" else call.memory.n_bytes // 2)
    if schema.modality == "text":
        is_quick = are_quick_texts(call.body, call.n_bytes)
    else:
        inputs = getattr(call.body, "inputs", None)
        if (schema.takes_images or schema.takes_sounds) and may_have_files(inputs, call.services.limits.max_items):
            decode = decode_with_images if schema.takes_images else decode_with_sounds
            return await decode(call.services, schema, call.body, call.codecs, call.n_bytes, call.client)
        is_quick = call.n_bytes <= call.services.settings.inline_bytes
    arguments = call.body, call.codecs, call.services.limits
    if is_quick:
        return schema.requests(*arguments)
    return await call.services.pools.run(schema.requests, *arguments, n_bytes=call.n_bytes)


def run_requests(call: TaskCall, schema: TaskSchema, requests: list[TaskRequest]) -> Awaitable[Outcome]:
    """Run the requests of a call to their end; a stop string ends a text as soon as it appears.

    Raises:
        PayloadTooLarge, MemoryExhausted: there is no memory for the results and the answer.
        QueueFull, ModelUnavailable, InvalidItems, InferenceFailed: as `infer` says.
    """
    claim_results(call, schema, requests)
    writer = None
    if schema.writer is not None and call.parameter("stop") is not None:
        writer = schema.writer(requests, call.body, call.codecs)
    on_progress = None if writer is None else writer.on_progress
    work = infer(schema.task, call.loaded.engine, requests, None, on_progress, call.client)
    return work if schema.observe is None or call.loaded.drift is None else _observe(work, schema, requests, call)


async def _observe(
    work: Awaitable[Outcome], schema: TaskSchema, requests: list[TaskRequest], call: TaskCall
) -> Outcome:
    """Show the requests and their results to the monitor of the model, to see whether the items move away."""
    outcome = await work
    if schema.observe is not None and call.loaded.drift is not None:
        schema.observe(call.loaded.drift, requests, outcome.results)
    return outcome


async def start_stream(call: TaskCall, schema: TaskSchema, requests: list[TaskRequest], deadline: Deadline) -> Stream:
    """Start to run the requests of a call, and return the stream of events once it has the first.

    Raises:
        InvalidRequest: the task does not stream.
        PayloadTooLarge, MemoryExhausted: there is no memory for the results.
        QueueFull, ModelUnavailable, InvalidItems, InferenceFailed, DeadlineExceeded: as `infer` says.
    """
    if schema.writer is None:
        raise InvalidRequest(f"{schema.task.name} does not stream")
    claim_results(call, schema, requests)
    stream = Stream(
        schema.writer(requests, call.body, call.codecs),
        lambda on_progress: infer(schema.task, call.loaded.engine, requests, deadline, on_progress, call.client),
    )
    try:
        await stream.first_event()
    except BaseException:
        stream.cancel()
        raise
    return stream


def claim_results(call: TaskCall, schema: TaskSchema, requests: list[TaskRequest]) -> None:
    """Claim the memory of the networks, the results and the answer, and what a small body was parsed into.

    Raises:
        PayloadTooLarge, MemoryExhausted: there is not as much.
    """
    sizes = call.loaded.sizes
    n_bytes = schema.estimate(requests, call.body, sizes) + of_networks(requests, sizes)
    if call.n_bytes <= SMALL_BODY_BYTES:
        n_bytes += MAX_EXPANSION * call.n_bytes
    call.memory.claim(n_bytes)


def count_usage(
    call: TaskCall, schema: TaskSchema, n_items: int, requests: list[TaskRequest], results: Sequence[Any]
) -> dict[str, int]:
    """Return the counts of `usage`."""
    usage = {"items": n_items, **schema.usage(requests, results)}
    if call.parameter("truncate"):
        usage["truncated"] = call.codecs.n_truncated
    return usage


def answer_headers(model: ServedModel, outcome: Outcome) -> list[Header]:
    """Return the headers for the model, the times and the batch size of an answer."""
    return [
        model_header(model),
        (b"x-queue-time-ms", b"%.3f" % outcome.queue_ms),
        (b"x-inference-time-ms", b"%.3f" % outcome.inference_ms),
        (b"x-batch-size", b"%d" % outcome.batch_size),
    ]


def model_header(model: ServedModel) -> Header:
    """Return the header for the model of an answer."""
    return (b"x-model", model.name.encode("latin-1"))

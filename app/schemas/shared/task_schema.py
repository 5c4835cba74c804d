"""The declaration of a task: its body, its answer, and their conversions to and from requests and results of models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

from numpy.typing import NDArray

from app.inference.stream import EventWriter
from app.registry.defaults import Kind
from app.schemas.shared.envelope import Answer, Body
from app.schemas.shared.memory import Estimate
from models.autoencoding.drift import DriftMonitor
from models.codecs import Codec, LatentCodec, TextCodec
from models.codecs.arrays import Limits
from models.codecs.table import SeriesRows
from models.errors import Problem
from models.tasks import Request, Task
from models.tasks.generation_defaults import GenerationDefaults

COST_PARAMETERS = ("max_new_tokens", "num_beams", "n", "steps", "iterations")
"""Names of parameters that a task takes longer for, the higher they are."""


@dataclass(kw_only=True, slots=True)
class ModelCodecs:
    """The codecs of one model as one request uses them.

    Attributes:
        items: the codec of items.
        latents: the codec of latents.
        labels: the names of the model's classes.
        generation_defaults: the values of parameters of generation that a request leaves out.
        warnings: what the codecs found wrong with the inputs that they accepted.
        n_truncated: the number of texts, or of pairs of texts, that were cut.
        series: the series of the inputs, if they are made of rows of a table.
    """

    items: Codec
    latents: LatentCodec
    labels: tuple[str, ...] = ()
    generation_defaults: GenerationDefaults = field(default_factory=GenerationDefaults)
    warnings: list[Problem] = field(default_factory=list)
    n_truncated: int = 0
    series: list[SeriesRows] = field(default_factory=list)

    def note_truncated(self, index: int) -> None:
        """Count a text that was cut."""
        self.n_truncated += 1

    @property
    def texts(self) -> TextCodec:
        """The codec of a model whose items are texts."""
        return cast("TextCodec", self.items)


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskSchema:
    """The HTTP interface of a task for one kind of model.

    The conversions may take long and are safe to call on any thread.

    Attributes:
        task: the task as the models know it.
        body: the request body.
        answer: the answer, for the OpenAPI document.
        requests: converts a body into requests to the model, in most tasks one for each item.
        outputs: converts the results into the `outputs` of a JSON answer.
        estimate: estimates the memory of the results and the answer.
        array: converts the results and the body into the array `[n, …]` of a NumPy or PNG answer; None if there is no
            such answer.
        row: converts an output about a row of a table into a row of an answer in CSV: an object of names and values,
            with the same names for all outputs; and an output about a series into its rows: an object of names and
            lists. None if there is no such answer.
        has_series_rows: whether an output about a series with columns has values for each of its rows.
        n_numbers: counts the numbers in the results, for tasks whose rendering takes a time in proportion to them; None
            if rendering takes longer and should be done off the event loop.
        summary: returns the further fields of the answer, which are about all outputs together.
        usage: returns the counts of `usage` other than the number of items.
        writer: makes the events of a stream, for tasks that run step by step.
        observe: shows the requests and their results to what looks for drift; None for tasks that do not compare items.
        modality: whether the inputs are texts or other items.
        takes_numbers: whether an item consists of numbers, which a NumPy file may hold.
        takes_images: whether encoded images are accepted.
        answers_images: whether the answer may be a PNG.
        takes_sounds: whether files of sound are accepted.
        answers_sounds: whether the answer may be a file of sound.
        takes_sentences: whether a text may be an item, of an autoencoder of sentences.
    """

    task: Task
    body: type[Body]
    answer: type[Answer]
    requests: Callable[[Any, ModelCodecs, Limits], list[Request]]
    outputs: Callable[[Sequence[Any], Sequence[Any], Any, ModelCodecs], list[dict[str, Any]]]
    estimate: Estimate
    array: Callable[[Sequence[Any], Any, ModelCodecs], NDArray[Any]] | None = None
    row: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    has_series_rows: bool = False
    n_numbers: Callable[[Sequence[Any]], int | None] = lambda results: None
    summary: Callable[[Sequence[Any]], dict[str, Any]] = lambda results: {}
    usage: Callable[[Sequence[Any], Sequence[Any]], dict[str, int]] = lambda requests, results: {}
    writer: Callable[[Sequence[Any], Any, ModelCodecs], EventWriter] | None = None
    observe: Callable[[DriftMonitor, Sequence[Any], Sequence[Any]], None] | None = None
    modality: Literal["item", "text"] = "item"
    takes_numbers: bool = True
    takes_images: bool = False
    answers_images: bool = False
    takes_sounds: bool = False
    answers_sounds: bool = False
    takes_sentences: bool = False

    @property
    def takes_arrays(self) -> bool:
        """True if the body may be a NumPy file."""
        return "inputs" in self.body.model_fields and self.modality != "text" and self.takes_numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class CodecSchema:
    """The HTTP interface of a task that the tokenizer alone answers, without a forward pass.

    Attributes:
        body: the request body.
        answer: the answer, for the OpenAPI document.
        outputs: converts a body into the `outputs` of a JSON answer.
        bytes_per_byte: most memory that the work takes for each byte of the body.
    """

    body: type[Body]
    answer: type[Answer]
    outputs: Callable[[Any, ModelCodecs, Limits], list[dict[str, Any]]]
    bytes_per_byte: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskEndpoint:
    """A task as a route: `POST /<name>`, with one schema for each kind of model that serves it.

    Attributes:
        name: the task's name, in snake case; the path has hyphens instead.
        summary: what the task does, in the imperative, as a title of the OpenAPI document.
        description: one to three sentences for the OpenAPI document: what the task does, what an item is and what the
            answer has.
        schemas: the schemas, one for each kind of model; the tasks of the model decide which one applies.
        examples: request bodies that the shipped models answer with 200.
        event: the model of an event of the stream, if the task streams.
        is_joint: whether an output depends on all inputs, so that they cannot be sent in several requests.
        joint_parameters: names of parameters that, if given, make an output depend on the other inputs, or on its place
            among them.
    """

    name: str
    summary: str
    description: str
    schemas: tuple[TaskSchema | CodecSchema, ...]
    examples: tuple[dict[str, Any], ...]
    event: type[Any] | None = None
    is_joint: bool = False
    joint_parameters: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of the route."""
        return f"/{self.name.replace('_', '-')}"

    @property
    def takes_arrays(self) -> bool:
        """True if the body may be a NumPy file, for at least one kind of model."""
        return any(isinstance(schema, TaskSchema) and schema.takes_arrays for schema in self.schemas)

    @property
    def takes_images(self) -> bool:
        """True if the body may be an encoded image or several, for at least one kind of model."""
        return any(isinstance(schema, TaskSchema) and schema.takes_images for schema in self.schemas)

    @property
    def takes_sounds(self) -> bool:
        """True if the body may be a file of sound or several, for at least one kind of model."""
        return any(isinstance(schema, TaskSchema) and schema.takes_sounds for schema in self.schemas)

    @property
    def answers_rows(self) -> bool:
        """True if the answer about rows of a table may be CSV."""
        return any(isinstance(schema, TaskSchema) and schema.row is not None for schema in self.schemas)

    @property
    def is_about_texts(self) -> bool:
        """True if texts are what the task is for, and not only sentences as items among others."""
        return any(isinstance(schema, CodecSchema) or schema.modality == "text" for schema in self.schemas)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of inputs that the task takes."""
        items = [schema for schema in self.schemas if isinstance(schema, TaskSchema) and schema.modality == "item"]
        takes_texts = len(items) < len(self.schemas) or any(schema.takes_sentences for schema in items)
        kinds: list[Kind] = ["text"] if takes_texts else []
        kinds += ["image"] if any(schema.takes_images for schema in items) else []
        kinds += ["sound"] if self.takes_sounds else []
        kinds += ["item"] if items else []
        return tuple(kinds)

    @cached_property
    def to_save_time(self) -> str:
        """The ways in which a client can make its request take less time, as the end of a sentence."""
        bodies = [schema.body.model_fields for schema in self.schemas]
        parameters = {
            name for fields in bodies for name in getattr(fields["parameters"].annotation, "model_fields", ())
        }
        costly = [f"`{name}`" for name in COST_PARAMETERS if name in parameters]
        inputs = "fewer or shorter texts" if self.kinds == ("text",) else "fewer or smaller items"
        ways = [f"send {inputs}"] if any("inputs" in fields for fields in bodies) else []
        return ", or ".join([*ways, *([f"lower {', '.join(costly)}"] if costly else [])])

    @property
    def tags(self) -> list[str]:
        """The tags that group the route in the OpenAPI document."""
        of_items = any(isinstance(schema, TaskSchema) and schema.modality == "item" for schema in self.schemas)
        return ["autoencoders"] * of_items + ["transformers"] * self.is_about_texts

    def schema_for(self, tasks: Sequence[Task]) -> TaskSchema | CodecSchema:
        """Return the schema whose task is among the tasks of a model; the first one if there is no such schema."""
        for schema in self.schemas:
            if isinstance(schema, TaskSchema) and schema.task in tasks:
                return schema
        return self.schemas[0]

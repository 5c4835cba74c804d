"""The tensors that a model takes and offers in the Open Inference Protocol, and the task behind each that it offers.

`OUTPUTS` is the only list of them: the metadata of a model and the answers to inferences are both made from it.

Shape: `N` items of a request. A shape of a specification has -1 where any number will do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.registry.loaded_model import LoadedModel
from models.checkpoint import Checkpoint
from models.codecs import AudioCodec, ImageCodec, SeriesCodec

Shape = tuple[int, ...]
Outputs = Sequence[Mapping[str, Any]]
"""The outputs of a task, as its native answer has them."""
Values = NDArray[Any] | list[str]
"""Numbers in the shape of a tensor, or the texts of a tensor `[N]`."""

TEXTS = "BYTES"
ANY = -1
"""The side of a shape that may have any length."""

TEXT_PARAMETERS = ("truncate",)
GENERATION_PARAMETERS = (
    *("max_new_tokens", "min_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p"),
    *("repetition_penalty", "presence_penalty", "frequency_penalty", "no_repeat_ngram_size", "bad_words"),
    *("num_beams", "length_penalty", "stop", "seed"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """Name, datatype and shape of a tensor of a model."""

    name: str
    datatype: str
    shape: Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOutput:
    """A tensor that models offer by one of their tasks.

    Attributes:
        name: the name of the tensor.
        task: the name of the task.
        shape: returns the shape of the tensor for one item; None if the model does not offer it.
        read: returns the tensor `[N, …]` of the outputs of the task for `N` items.
        parameters: the parameters of the task that a request may give.
        fixed: the parameters of the task that are always given.
        is_text: whether the elements are texts.
    """

    name: str
    task: str
    shape: Callable[[Checkpoint, LoadedModel], Shape | None]
    read: Callable[[Outputs, Sequence[str]], Values]
    parameters: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    is_text: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedOutput:
    """A tensor that one model offers.

    Attributes:
        spec: its name, datatype and shape.
        source: how it is computed.
        labels: the names of the classes, if it has an element for each class.
    """

    spec: TensorSpec
    source: TaskOutput
    labels: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The tensors of a model: the one that it takes, and those that it offers, by name."""

    input: TensorSpec
    outputs: Mapping[str, OfferedOutput]


def signature_of(loaded: LoadedModel) -> Signature:
    """Return the tensors of a model that is in memory."""
    checkpoint = loaded.checkpoint
    numbers = "FP32" if checkpoint.modality == "text" or isinstance(checkpoint.codec, ImageCodec) else "FP64"
    outputs = {}
    for source in OUTPUTS:
        shape = source.shape(checkpoint, loaded) if source.task in checkpoint.task_names else None
        if shape is not None:
            datatype = TEXTS if source.is_text else numbers
            spec = TensorSpec(name=source.name, datatype=datatype, shape=(ANY, *shape))
            outputs[source.name] = OfferedOutput(
                spec=spec, source=source, labels=loaded.labels if source.name == LOGITS else ()
            )
    if checkpoint.modality in ("text", "sentence"):
        return Signature(input=TensorSpec(name="text", datatype=TEXTS, shape=(ANY,)), outputs=outputs)
    item = TensorSpec(name="input", datatype="FP32", shape=(ANY, *client_shape(checkpoint)))
    return Signature(input=item, outputs=outputs)


def client_shape(checkpoint: Checkpoint) -> Shape:
    """Return the shape of an item as clients see it: a series or sound of one channel has no axis for it."""
    if isinstance(checkpoint.codec, SeriesCodec | AudioCodec):
        n_channels = checkpoint.item_shape[1]
        return (ANY,) if n_channels == 1 else (ANY, n_channels)
    return checkpoint.item_shape


def native_inputs(checkpoint: Checkpoint, values: Values) -> Any:
    """Return the values of the input as the tasks take them.

    Integers and booleans become float64. An exception is UINT8 for images, which counts from 0 to 255 there as well.
    """
    if isinstance(values, list):
        return values
    is_pixels = values.dtype == np.uint8 and isinstance(checkpoint.codec, ImageCodec)
    if values.dtype.kind != "f" and not is_pixels:
        values = values.astype(np.float64)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    has_channels = not isinstance(checkpoint.codec, SeriesCodec) or values.ndim == 3
    return values if has_channels else values[:, :, None]  # else `[N, 1]` would be one series of N steps


def _item_shape(checkpoint: Checkpoint, loaded: LoadedModel) -> Shape | None:
    has_numbers = checkpoint.modality not in ("text", "sentence", "table", "table_series")
    return client_shape(checkpoint) if has_numbers else None


def _sentence_shape(checkpoint: Checkpoint, loaded: LoadedModel) -> Shape | None:
    return () if checkpoint.modality == "sentence" else None


def _latent_shape(checkpoint: Checkpoint, loaded: LoadedModel) -> Shape | None:
    return None if checkpoint.modality in ("text", "audio") else loaded.latents.shape


def _scalar_shape(checkpoint: Checkpoint, loaded: LoadedModel) -> Shape | None:
    return ()


def _embedding_shape(checkpoint: Checkpoint, loaded: LoadedModel) -> Shape | None:
    """Return the shape of an embedding. A sparse one has none: as a tensor, it would be as wide as the vocabulary."""
    is_sparse = loaded.text is not None and any(name.startswith("splade_") for name in loaded.text.pooling)
    return None if loaded.text is None or is_sparse else (loaded.text.embedding_width,)


def _labels_shape(checkpoint: Checkpoint, loaded: LoadedModel) -> Shape | None:
    """Return the shape of the logits. Classes of the same name, which the answer of the task confuses, have none."""
    is_unique = len(set(loaded.labels)) == len(loaded.labels)
    return (len(loaded.labels),) if loaded.labels and is_unique else None


def _generated_shape(checkpoint: Checkpoint, loaded: LoadedModel) -> Shape | None:
    return None if "translate" in checkpoint.task_names else ()


def _stacked(name: str) -> Callable[[Outputs, Sequence[str]], Values]:
    """Return a function that stacks one member of each output."""

    def read(outputs: Outputs, labels: Sequence[str]) -> Values:
        return np.stack([np.asarray(output[name]) for output in outputs])

    return read


def _logits(outputs: Outputs, labels: Sequence[str]) -> Values:
    """Return the logits in the order of the classes; the task answers them in descending order."""
    by_label = ({each["label"]: each["score"] for each in output["labels"]} for output in outputs)
    return np.array([[scores[label] for label in labels] for scores in by_label])


def _entities(outputs: Outputs, labels: Sequence[str]) -> Values:
    """Return the entities of each text as JSON."""
    return [orjson.dumps(output["entities"]).decode() for output in outputs]


def _generated(outputs: Outputs, labels: Sequence[str]) -> Values:
    return [output["generations"][0]["text"] for output in outputs]


def _reconstructed(outputs: Outputs, labels: Sequence[str]) -> Values:
    return [output["reconstruction"] for output in outputs]


def _translations(outputs: Outputs, labels: Sequence[str]) -> Values:
    return [output["translation"] for output in outputs]


LOGITS = "logits"
OUTPUTS = (
    TaskOutput(name="reconstruction", task="reconstruct", shape=_item_shape, read=_stacked("reconstruction")),
    TaskOutput(name="reconstructed_text", task="reconstruct", shape=_sentence_shape, read=_reconstructed, is_text=True),
    TaskOutput(name="latent", task="encode", shape=_latent_shape, read=_stacked("latent")),
    TaskOutput(name="score", task="detect_anomalies", shape=_scalar_shape, read=_stacked("score")),
    TaskOutput(
        name="embedding",
        task="encode",
        shape=_embedding_shape,
        read=_stacked("embedding"),
        parameters=(*TEXT_PARAMETERS, "normalize", "prompt_name", "dimensions"),
    ),
    TaskOutput(
        name=LOGITS,
        task="classify",
        shape=_labels_shape,
        read=_logits,
        parameters=TEXT_PARAMETERS,
        fixed={"function_to_apply": "none"},
    ),
    TaskOutput(
        name="entities",
        task="classify_tokens",
        shape=_scalar_shape,
        read=_entities,
        parameters=(*TEXT_PARAMETERS, "aggregation"),
        is_text=True,
    ),
    TaskOutput(
        name="generated_text",
        task="generate",
        shape=_generated_shape,
        read=_generated,
        parameters=(*TEXT_PARAMETERS, *GENERATION_PARAMETERS),
        fixed={"n": 1},
        is_text=True,
    ),
    TaskOutput(
        name="translation",
        task="translate",
        shape=_scalar_shape,
        read=_translations,
        parameters=(*TEXT_PARAMETERS, "num_beams", "length_penalty", "max_new_tokens"),
        is_text=True,
    ),
)
"""All tensors that models offer. A model offers those whose task it serves and whose shape it has."""

"""The bodies and answers of the Open Inference Protocol, version 2."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from app.schemas.shared.envelope import Strict

VERSION = "1"
"""The only version of every model."""
MAX_DIMENSIONS = 16
"""Maximum number of dimensions of a tensor."""
MAX_TENSORS = 16
"""Maximum number of tensors that a request may send, or ask for."""

Datatype = TypeAliasType(
    "Datatype",
    Annotated[
        Literal[
            "BOOL",
            "UINT8",
            "UINT16",
            "UINT32",
            "UINT64",
            "INT8",
            "INT16",
            "INT32",
            "INT64",
            "FP16",
            "BF16",
            "FP32",
            "FP64",
            "BYTES",
        ],
        Field(description="Datatype of the elements of a tensor; BYTES are texts in UTF-8."),
    ],
)
Side = Annotated[int, Field(ge=0, lt=2**63)]
ModelState = TypeAliasType(
    "ModelState",
    Annotated[Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"], Field(description="State of a model.")],
)


class Member(Strict):
    """Base of the objects inside of a body."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        """Refuse the first unknown field; pydantic would list all of them, however many."""
        names = values if isinstance(values, dict) else ()
        unknown = next((name for name in names if name not in cls.model_fields), None)
        if unknown is not None:
            known = ", ".join(cls.model_fields)
            raise PydanticCustomError(
                "unknown_field",
                "unknown field {name}; known are {known}",
                {"name": repr(unknown[:100]), "known": known},
            )
        return values


class InputTensor(Member):
    """A tensor that a request sends."""

    name: str = Field(description="Name of the input, one of those in the metadata of the model.")
    shape: list[Side] = Field(max_length=MAX_DIMENSIONS, description="Shape of the tensor.")
    datatype: Datatype = Field(description="Datatype of the elements.")
    parameters: dict[str, Any] | None = Field(
        None, description="Parameters: `binary_data_size`, the number of raw bytes after the JSON; others are ignored."
    )
    data: Annotated[Any, WithJsonSchema({"type": "array", "items": {}})] = Field(
        None, description="The elements in row-major order, flat or nested; left out if they are raw bytes."
    )


class RequestedOutput(Member):
    """A tensor that a request asks for."""

    name: str = Field(description="Name of the output, one of those in the metadata of the model.")
    parameters: dict[str, Any] | None = Field(
        None,
        description="Parameters: `binary_data`, whether the tensor is answered as raw bytes; `classification`, the "
        "number of classes to answer in place of the numbers; others are ignored.",
    )


class InferBody(Strict):
    """Request body of an inference."""

    id: str | None = Field(None, description="Id of the request, which the answer repeats.")
    model_name: str | None = Field(None, description="Id of the model, which must be the one in the path.")
    parameters: dict[str, Any] | None = Field(
        None,
        description="Parameters: `binary_data_output`, whether all outputs are answered as raw bytes, and those of the "
        "tasks that are behind the outputs; others are ignored.",
    )
    inputs: list[InputTensor] = Field(max_length=MAX_TENSORS, description="The tensors that the model reads.")
    outputs: list[RequestedOutput] | None = Field(
        None, max_length=MAX_TENSORS, description="The tensors to answer; all that the model has if omitted or empty."
    )


class OutputTensor(BaseModel):
    """A tensor of an answer."""

    name: str = Field(description="Name of the output.")
    shape: list[int] = Field(description="Shape of the tensor.")
    datatype: Datatype = Field(description="Datatype of the elements.")
    parameters: dict[str, Any] | None = Field(
        None, description="The number of raw bytes as `binary_data_size`; missing if the elements are in `data`."
    )
    data: list[Any] | None = Field(None, description="The elements, flat, in row-major order.")


class InferAnswer(BaseModel):
    """Answer of an inference."""

    model_name: str = Field(description="Id of the model.")
    model_version: str = Field(description="Version of the model.")
    id: str | None = Field(None, description="Id of the request; missing if it had none.")
    outputs: list[OutputTensor] = Field(description="The tensors, in the order in which they were asked for.")


class InferenceError(BaseModel):
    """An error."""

    error: str = Field(description="What is wrong with the request, with the value and the limit.")


class ServerMetadata(BaseModel):
    """Name, version and extensions of the server."""

    name: str = Field(description="Name of the server.")
    version: str = Field(description="Version of the server.")
    extensions: list[str] = Field(description="Extensions of the protocol that the server has.")


class ServerLive(BaseModel):
    """Whether the process answers."""

    live: bool = Field(description="Whether the process answers.")


class ServerReady(BaseModel):
    """Whether the models serve."""

    ready: bool = Field(description="Whether every wanted model serves.")


class ModelReady(BaseModel):
    """Whether a model serves."""

    name: str = Field(description="Id of the model.")
    ready: bool = Field(description="Whether the model serves.")


class TensorMetadata(BaseModel):
    """Name, datatype and shape of a tensor."""

    name: str = Field(description="Name of the tensor.")
    datatype: Datatype = Field(description="Datatype of the elements.")
    shape: list[int] = Field(description="Shape of the tensor; -1 stands for any number.")


class ModelMetadata(BaseModel):
    """The tensors that a model takes and offers."""

    name: str = Field(description="Id of the model.")
    versions: list[str] = Field(description="Versions of the model.")
    platform: str = Field(description="Framework and format of the model.")
    inputs: list[TensorMetadata] = Field(description="The tensors that the model takes.")
    outputs: list[TensorMetadata] = Field(description="The tensors that the model offers.")


class TensorConfig(BaseModel):
    """Name, datatype and dimensions of a tensor, as Triton's configurations have them."""

    name: str = Field(description="Name of the tensor.")
    data_type: str = Field(description="Datatype, such as `TYPE_FP32`; texts are `TYPE_STRING`.")
    dims: list[int] = Field(description="Shape of the tensor; -1 stands for any number.")


class ModelConfig(BaseModel):
    """Configuration of a model in the form of Triton."""

    name: str = Field(description="Id of the model.")
    platform: str = Field(description="Framework and format of the model.")
    backend: str = Field(description="Name of the server.")
    max_batch_size: int = Field(description="Always 0, because the shapes of the tensors have the batch dimension.")
    input: list[TensorConfig] = Field(description="The tensors that the model takes.")
    output: list[TensorConfig] = Field(description="The tensors that the model offers.")


class DurationStatistics(BaseModel):
    """How often something was done and how long it took in all."""

    count: int = Field(description="How often it was done.")
    ns: int = Field(description="Time that it took in all, in nanoseconds.")


class InferenceStatistics(BaseModel):
    """The times of requests. Those of reading and rendering are not measured, and stay 0; there is no cache."""

    success: DurationStatistics = Field(description="Requests that were answered, from the queue to the last result.")
    fail: DurationStatistics = Field(description="Requests that ended without an answer.")
    queue: DurationStatistics = Field(description="Waiting in the queue.")
    compute_input: DurationStatistics = Field(description="Reading inputs, which is not measured.")
    compute_infer: DurationStatistics = Field(description="Computing.")
    compute_output: DurationStatistics = Field(description="Rendering outputs, which is not measured.")
    cache_hit: DurationStatistics = Field(description="Answers from a cache, of which there are none.")
    cache_miss: DurationStatistics = Field(description="Look-ups in a cache, of which there are none.")


class BatchStatistics(BaseModel):
    """The times of batches of one size."""

    batch_size: int = Field(description="Number of items in the batch.")
    compute_input: DurationStatistics = Field(description="Reading inputs, which is not measured.")
    compute_infer: DurationStatistics = Field(description="Computing.")
    compute_output: DurationStatistics = Field(description="Rendering outputs, which is not measured.")


class ModelStatistics(BaseModel):
    """What a model has done since it was loaded, for all requests of all routes."""

    name: str = Field(description="Id of the model.")
    version: str = Field(description="Version of the model.")
    last_inference: int = Field(description="Time of the last inference, in milliseconds since 1970; 0 if none was.")
    inference_count: int = Field(description="Number of items of the requests that were answered.")
    execution_count: int = Field(description="Number of batches that were computed, and of texts generated.")
    inference_stats: InferenceStatistics = Field(description="The times of requests.")
    batch_stats: list[BatchStatistics] = Field(description="The times of batches, without steps of generation.")


class StatisticsAnswer(BaseModel):
    """The statistics of models that are in memory."""

    model_stats: list[ModelStatistics] = Field(description="The statistics of each model.")


class IndexBody(Strict):
    """Request body of the list of models; it may be left out."""

    ready: bool | None = Field(None, description="Whether to list only models that serve.")


class IndexedModel(BaseModel):
    """A model of the repository."""

    name: str = Field(description="Id of the model.")
    version: str = Field(description="Version of the model.")
    state: ModelState = Field(description="State of the model.")
    reason: str = Field(description="Why the model is not ready; empty if it is.")


class RepositoryBody(Strict):
    """Request body of loading or unloading; it may be left out."""

    parameters: dict[str, Any] | None = Field(
        None, description="Parameters, which are ignored, but for a `config` or files, which are refused."
    )


class LoadAnswer(BaseModel):
    """Answer of loading a model."""

    name: str = Field(description="Id of the model.")
    load: bool = Field(description="Whether the model serves.")


class UnloadAnswer(BaseModel):
    """Answer of unloading a model."""

    name: str = Field(description="Id of the model.")
    unload: bool = Field(description="Whether the model is unloaded.")

"""The network: two ONNX graphs, which ONNX Runtime computes on the CPU in float32.

Shapes: `B` batch, `...` the shape of an item or of a latent.
"""

import threading
from math import prod
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoders.onnx.config import OnnxConfig
from models.autoencoders.onnx.tensors import count_weights
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.errors import CheckpointError
from models.family import MAX_SIZE

FLOAT32 = "tensor(float)"
"""Name of the type of float32 tensors in ONNX Runtime."""
FATAL = 4
"""Level of the messages of ONNX Runtime that are logged; what is wrong is in its exceptions as well."""
N_TRIED = 2
"""Number of items in the batch on which a graph is tried; more than one, since a graph may be made for just one."""
DYNAMIC_BATCH = 'torch.onnx.export(…, dynamic_shapes=({0: "batch"},)), on a batch of two or more'
"""How a graph for batches of any size is exported, for errors."""
Shape = tuple[int, ...]


class OnnxGraph(nn.Module):
    """A graph with one input and one output, both float32, whose first dimensions are the batch.

    Attributes:
        name: what the graph is called in errors.
        content: the ONNX file, `[n_bytes]` in uint8.
        n_weights: number of weights; estimated by the size of the file until the graph is opened.
        packed_bytes: size of the copy of the weights that ONNX Runtime makes.
    """

    content: Tensor

    def __init__(self, name: str, n_bytes: int) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("content", torch.empty(n_bytes, dtype=torch.uint8))
        self.n_weights, self.packed_bytes = n_bytes // 4, n_bytes
        self._session: Any = None
        self._input, self._n_threads = "", 0
        self._opening = threading.Lock()

    def open(self) -> Shape | None:
        """Check the graph, and return the shape of an item that its input declares; None if parts of it are open.

        Raises:
            CheckpointError: the file is damaged, is no graph of this kind, or leads to other files.
        """
        try:
            self.n_weights = count_weights(self.content.numpy().data)
            session = self._session_for(1)
        except CheckpointError as error:
            raise CheckpointError(f"the {self.name}: {error}") from None
        for role, values in (("input", session.get_inputs()), ("output", session.get_outputs())):
            if len(values) != 1:
                names = ", ".join(value.name for value in values)
                raise CheckpointError(f"the {self.name} has {len(values)} {role}s ({names}); it must have one")
            if values[0].type != FLOAT32:
                raise CheckpointError(f"the {role} of the {self.name} is a {values[0].type}; it must be a {FLOAT32}")
        batch, *sides = session.get_inputs()[0].shape or [None]
        if isinstance(batch, int):
            raise CheckpointError(
                f"the {self.name} takes batches of {batch} alone; export it for any size: {DYNAMIC_BATCH}"
            )
        return tuple(sides) if all(isinstance(side, int) for side in sides) else None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of what the graph makes of one item, by trying it.

        Raises:
            CheckpointError: it cannot compute items of this shape, or not several at once.
        """
        given = [N_TRIED, *input_shape]
        try:
            shape = tuple(self._run(torch.zeros(given), n_threads=1).shape)
        except Exception as error:  # those of ONNX Runtime have no class of their own
            reason = _first_line(error)
            raise CheckpointError(f"the {self.name} cannot compute a batch of {given}: {reason}") from None
        if shape[:1] != (N_TRIED,):
            made = f"makes {list(shape)} of a batch of {given}"
            raise CheckpointError(f"the {self.name} {made}; export it for any size: {DYNAMIC_BATCH}")
        return shape[1:]

    def forward(self, batch: Tensor) -> Tensor:
        """Map `[B, ...]` to `[B, ...]`, both on the CPU in float32, with as many threads as torch has."""
        return self._run(batch, torch.get_num_threads())

    def _run(self, batch: Tensor, n_threads: int) -> Tensor:
        session = self._session_for(n_threads)
        (output,) = session.run(None, {self._input: batch.contiguous().numpy()})
        return torch.from_numpy(output)

    def _session_for(self, n_threads: int) -> Any:
        """Return the session of ONNX Runtime, which is made anew for another number of threads.

        Raises:
            CheckpointError: ONNX Runtime is not installed or refuses the graph.
        """
        with self._opening:
            if self._n_threads != n_threads:
                self._session = _new_session(self.content.numpy().tobytes(), n_threads)
                self._n_threads = n_threads
                self._input = next((value.name for value in self._session.get_inputs()), "")
            return self._session


class OnnxAutoencoder(FixedShapeAutoencoder):
    """z = f(x), x' = g(z), where f and g are graphs of any architecture.

    Source: https://onnx.ai; https://onnxruntime.ai.
    """

    encoder: OnnxGraph
    decoder: OnnxGraph

    def __init__(self, config: OnnxConfig) -> None:
        super().__init__()
        self.input_shape, self.latent_shape = config.input_shape, config.latent_shape
        self.encoder = OnnxGraph("encoder", config.encoder_bytes)
        self.decoder = OnnxGraph("decoder", config.decoder_bytes)

    @override
    def finish_loading(self) -> None:
        for graph, takes, makes in (
            (self.encoder, self.input_shape, self.latent_shape),
            (self.decoder, self.latent_shape, self.input_shape),
        ):
            declared = graph.open()
            if declared not in (None, takes):
                raise CheckpointError(f"the {graph.name} takes {list(declared or ())}; it must take {list(takes)}")
            if (made := graph.output_shape(takes)) != makes:
                raise CheckpointError(
                    f"the {graph.name} makes {list(made)} of {list(takes)}; it must make {list(makes)}"
                )

    @override
    def to_device(self, values: Tensor) -> Tensor:
        return values.float()


def shapes_of(encoder: Tensor) -> tuple[Shape, Shape]:
    """Return the shapes of an item and of a latent, as the ONNX file of an encoder has them, `[n_bytes]` in uint8.

    Raises:
        CheckpointError: it is no graph of this kind, or a dimension of its input other than the batch is open.
    """
    graph = OnnxGraph("encoder", len(encoder))
    graph.content = encoder
    input_shape = graph.open()
    if not input_shape:
        raise CheckpointError(
            f"the {graph.name} declares no fixed shape of an item; only the first dimension of its input, the batch, "
            "may be open"
        )
    if prod(input_shape) > MAX_SIZE:
        raise CheckpointError(f"the encoder takes items of {list(input_shape)}; {MAX_SIZE} elements are the limit")
    return input_shape, graph.output_shape(input_shape)


def _new_session(content: bytes, n_threads: int) -> Any:
    """Return a session of ONNX Runtime that computes a graph.

    Raises:
        CheckpointError: ONNX Runtime is not installed or refuses the graph.
    """
    runtime = _import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = FATAL
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        _ = [str(value) for value in (*session.get_inputs(), *session.get_outputs())]  # names may be no UTF-8
        return session
    except Exception as error:  # those of ONNX Runtime have no class of their own
        raise CheckpointError(
            f"ONNX Runtime {runtime.__version__} cannot run this graph: {_first_line(error)}"
        ) from None


def _import_runtime() -> ModuleType:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        advice = "pip install -c constraints.txt -e '.[onnx]' installs it"
        raise CheckpointError(f"this needs the package onnxruntime; {advice}") from None
    module: ModuleType = onnxruntime
    return module


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]

"""ONNX graphs as networks: what is computed, and which files are refused."""

import sys
from collections.abc import Callable
from typing import Any, cast

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from models.autoencoders.onnx import FAMILY
from models.autoencoders.onnx.config import OnnxConfig
from models.autoencoders.onnx.model import OnnxAutoencoder, shapes_of
from models.autoencoders.onnx.tensors import PARTS, count_weights
from models.errors import CheckpointError, ConfigError
from models.precision import choose_precision
from tests.models.onnx_graphs import N_WEIGHTS, SHAPE, WIDTH, decoder_model, encoder_model, networks, value

CPU = torch.device("cpu")


def content_of(model: onnx.ModelProto | bytes) -> torch.Tensor:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def build(encoder: onnx.ModelProto | bytes, decoder: onnx.ModelProto | bytes, **config: Any) -> OnnxAutoencoder:
    contents = {"encoder.content": content_of(encoder), "decoder.content": content_of(decoder)}
    sizes = {"encoder_bytes": len(contents["encoder.content"]), "decoder_bytes": len(contents["decoder.content"])}
    values: dict[str, Any] = {"input_shape": SHAPE, "latent_shape": (WIDTH,), **sizes, **config}
    model = cast("OnnxAutoencoder", FAMILY.new_model(OnnxConfig(**values)))
    model.load_state_dict(contents)
    model.finish_loading()
    return model


@pytest.mark.parametrize("n_threads", [1, 2])
def test_graphs_compute_what_the_modules_do(n_threads: int) -> None:
    encoder, decoder = networks()
    model = build(encoder_model(encoder), decoder_model(decoder))
    items = torch.rand(5, *SHAPE)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        latents = model.latents_of(list(items.double()))
        torch.testing.assert_close(latents, encoder(items))
        torch.testing.assert_close(torch.stack(model.reconstructions_of(list(items))), decoder(encoder(items)))
    finally:
        torch.set_num_threads(before)
    assert model.n_parameters == N_WEIGHTS
    assert model.memory_bytes == 2 * (len(model.encoder.content) + len(model.decoder.content))


def test_the_shapes_of_an_encoder_are_found() -> None:
    assert shapes_of(content_of(encoder_model(networks()[0]))) == (SHAPE, (WIDTH,))


def test_every_way_to_a_tensor_is_looked_at() -> None:
    """The messages that lead to tensors are those of the format itself."""
    parts: dict[str, dict[int, str]] = {}
    unseen: list[Any] = [onnx.ModelProto.DESCRIPTOR]
    while unseen:
        message = unseen.pop()
        fields = [field for field in message.fields if field.message_type is not None]
        parts[message.name] = {field.number: field.message_type.name for field in fields}
        unseen += [field.message_type for field in fields if field.message_type.name not in parts]
    leading = {"TensorProto"}
    while more := {name for name, fields in parts.items() if leading & set(fields.values())} - leading:
        leading |= more
    expected = {
        name: {number: part for number, part in parts[name].items() if part in leading}
        for name in leading - {"TensorProto"}
    }
    assert expected == PARTS


def _as_external(tensor: TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"


def initializer(model: onnx.ModelProto) -> None:
    _as_external(model.graph.initializer[0])


def constant(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer.pop(0)
    _as_external(tensor)
    model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))


def branch(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    _as_external(tensor)
    inner = helper.make_graph([], "inner", [], [value("hidden", [1])], [tensor])
    model.graph.node.append(helper.make_node("If", ["condition"], ["unused"], then_branch=inner, else_branch=inner))


def function(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    _as_external(tensor)
    node = helper.make_node("Constant", [], ["hidden"], value=tensor)
    model.functions.append(helper.make_function("own", "f", [], ["hidden"], [node], [helper.make_opsetid("", 18)]))


@pytest.mark.parametrize("hide", [initializer, constant, branch, function])
def test_weights_in_other_files_are_refused(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = encoder_model(networks()[0])
    hide(model)
    with pytest.raises(CheckpointError, match=r"the encoder: its weights are in another file.*external_data=False"):
        shapes_of(content_of(model))


def test_a_file_that_is_cut_short_is_refused() -> None:
    data = encoder_model(networks()[0]).SerializeToString()
    for n_bytes in range(len(data)):
        with pytest.raises(CheckpointError, match=r"^the encoder"):
            shapes_of(content_of(data[:n_bytes]) if n_bytes else torch.empty(0, dtype=torch.uint8))


@pytest.mark.parametrize(
    "data",
    [b"\x93NUMPY", b"PK\x03\x04", b"\x0b\x0c", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"\x00\x00\x00\x00ORTM" * 4],
    ids=["npy", "zip", "groups", "ones", "length", "ort"],
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="ONNX"):
        count_weights(memoryview(data))


def test_a_name_that_is_no_text_is_refused() -> None:
    data = encoder_model(networks()[0]).SerializeToString()
    for name in (b"item", b"latent"):
        with pytest.raises(CheckpointError, match=r"the encoder: ONNX Runtime .* cannot run this graph: 'utf-8' codec"):
            shapes_of(content_of(data.replace(name, b"\xe3" + name[1:])))


def two_outputs(model: onnx.ModelProto) -> None:
    model.graph.output.append(value("flat", ["batch", 16]))


def half(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["latent"], ["halved"], to=TensorProto.FLOAT16))
    model.graph.output[0].CopyFrom(value("halved", ["batch", WIDTH], TensorProto.FLOAT16))


def open_side(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(value("item", ["batch", 1, "height", 4]))


def large(model: onnx.ModelProto) -> None:
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Identity", ["item"], ["latent"]))
    model.graph.input[0].CopyFrom(value("item", ["batch", 2**20, 2**20]))
    model.graph.output[0].CopyFrom(value("latent", ["batch", 2**20, 2**20]))


def unknown_operation(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Unknown"


def own_library(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (two_outputs, r"the encoder has 2 outputs \(latent, flat\); it must have one"),
        (half, r"the output of the encoder is a tensor\(float16\); it must be a tensor\(float\)"),
        (open_side, "the encoder declares no fixed shape of an item"),
        (large, r"takes items of \[1048576, 1048576\]; 16777216 elements are the limit"),
        (unknown_operation, "the encoder: ONNX Runtime .* cannot run this graph: .*Unknown"),
        (own_library, "the encoder: ONNX Runtime .* cannot run this graph: .*com.example"),
    ],
)
def test_a_graph_of_another_kind_is_refused(change: Callable[[onnx.ModelProto], None], words: str) -> None:
    model = encoder_model(networks()[0])
    change(model)
    with pytest.raises(CheckpointError, match=words):
        shapes_of(content_of(model))


def test_a_fixed_batch_is_refused_with_the_remedy() -> None:
    encoder, decoder = networks()
    with pytest.raises(
        CheckpointError, match=r"the encoder takes batches of 1 alone.*dynamic_shapes=\(\{0: \"batch\"\}"
    ):
        shapes_of(content_of(encoder_model(encoder, batch=1)))
    fixed = decoder_model(decoder)
    fixed.graph.initializer[-1].CopyFrom(helper.make_tensor("shape", TensorProto.INT64, [4], [1, *SHAPE]))
    with pytest.raises(CheckpointError, match=r"the decoder cannot compute a batch of \[2, 3\]"):
        build(encoder_model(encoder), fixed)
    joined = decoder_model(decoder)
    joined.graph.initializer[-1].CopyFrom(helper.make_tensor("shape", TensorProto.INT64, [4], [1, -1, 4, 4]))
    with pytest.raises(CheckpointError, match=r"the decoder makes \[1, 2, 4, 4\] of a batch of \[2, 3\]; .*dynamic"):
        build(encoder_model(encoder), joined)


def test_graphs_must_fit_to_each_other_and_to_the_configuration() -> None:
    encoder, decoder = networks()
    with pytest.raises(CheckpointError, match=r"the decoder makes \[16\] of \[3\]; it must make \[1, 4, 4\]"):
        build(encoder_model(encoder), decoder_model(decoder, shape=(16,)))
    with pytest.raises(CheckpointError, match=r"the decoder takes \[1, 4, 4\]; it must take \[3\]"):
        build(encoder_model(encoder), encoder_model(encoder))
    with pytest.raises(CheckpointError, match=r"the encoder takes \[1, 4, 4\]; it must take \[16\]"):
        build(encoder_model(encoder), decoder_model(decoder), input_shape=(16,))
    with pytest.raises(CheckpointError, match=r"the encoder makes \[3\] of \[1, 4, 4\]; it must make \[4\]"):
        build(encoder_model(encoder), decoder_model(decoder), latent_shape=(4,))


@pytest.mark.parametrize("change", [{"input_shape": ()}, {"latent_shape": (0,)}, {"input_shape": (2**13, 2**13)}])
def test_shapes_out_of_range_are_refused(change: dict[str, Any]) -> None:
    shapes: dict[str, Any] = {"input_shape": SHAPE, "latent_shape": (WIDTH,)} | change
    with pytest.raises(ConfigError, match=f"{next(iter(change))} is"):
        OnnxConfig(**shapes, encoder_bytes=1, decoder_bytes=1)


def test_files_may_be_larger_than_layers_and_have_a_limit() -> None:
    values = {"input_shape": [4], "latent_shape": [2], "encoder_bytes": 2**30, "decoder_bytes": 2**20}
    assert OnnxConfig.from_dict(values).encoder_bytes == 2**30
    with pytest.raises(ConfigError, match="encoder_bytes is 1073741825; it must be at most 1073741824"):
        OnnxConfig.from_dict(values | {"encoder_bytes": 2**30 + 1})


def test_a_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match=r"this needs the package onnxruntime; pip install .*\[onnx\]"):
        shapes_of(content_of(encoder_model(networks()[0])))


def test_only_float32_on_the_cpu_is_possible() -> None:
    for default in ("auto", "bfloat16", "int8"):
        assert choose_precision(default, None, "image", CPU, FAMILY.runtime).precision == "float32"
    with pytest.raises(ConfigError, match="dtype is bfloat16; ONNX Runtime computes this model in float32"):
        choose_precision("auto", "bfloat16", "image", CPU, FAMILY.runtime)
    with pytest.raises(ConfigError, match="the device is cuda; ONNX Runtime computes this model on the CPU"):
        choose_precision("auto", None, "image", torch.device("cuda"), FAMILY.runtime)

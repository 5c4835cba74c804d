"""The precision of a model: how it is chosen, and how far its answers are from those in float32 then."""

import copy
from typing import Any, cast

import pytest
import torch
from torch import nn

from models.autoencoding.autoencoder import Autoencoder
from models.errors import CheckpointError, ConfigError, InvalidItems
from models.family import FamilyConfig, FamilySpec, Model
from models.layers.packed_linear import PackedLinear
from models.precision import Precision, PrecisionChoice, choose_precision, convert
from models.product_times import BFLOAT16, FLOAT16, FLOAT32, INT8, INT8_OF_BFLOAT16, Arithmetic
from models.tasks import COMPRESS, DECOMPRESS, PROJECT_TEXTS
from models.tasks.autoencoding import CompressRequest, DecompressRequest
from models.text.embedding import vectors
from models.text.text_model import TextModel
from tests.models import tiny
from tests.models.transformers import test_contract as texts
from tests.models.transformers.reference import random_text

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
HALVES: tuple[Precision, ...] = ("bfloat16", "float16")
AUTOENCODERS = [pytest.param(tiny.build, *case, id=name) for name, case in tiny.CASES.items()]
TRANSFORMERS = [pytest.param(texts.build, *case, id=name) for name, case in texts.CASES.items()]


def converted(model: Model, precision: Precision) -> tuple[Model, float]:
    other = copy.deepcopy(model)
    conversion = convert(other, PrecisionChoice(precision, "for a test"))
    assert (conversion.precision, conversion.reason) == (precision, "for a test")
    return other, conversion.cosine


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize(("build", "spec", "config"), AUTOENCODERS + TRANSFORMERS)
def test_every_family_answers_in_half_precision(
    build: Any, spec: FamilySpec[Any], config: FamilyConfig, precision: Precision
) -> None:
    model, cosine = converted(build(spec, config), precision)
    assert 0.99 < cosine < 1.0
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, precision)}
    assert model.n_parameters == build(spec, config).n_parameters
    with torch.inference_mode():
        for task in spec.tasks(config):
            assert len(model.run(task, [model.example(task)])) == 1


@pytest.mark.parametrize(("build", "spec", "config"), TRANSFORMERS)
def test_every_transformer_answers_in_int8(build: Any, spec: FamilySpec[Any], config: FamilyConfig) -> None:
    exact = build(spec, config)
    model, cosine = converted(exact, "int8")
    assert 0.99 < cosine < 1.0
    assert not any(isinstance(module, nn.Linear) for module in model.modules())
    assert model.n_parameters == exact.n_parameters
    assert any(isinstance(module, PackedLinear) for module in model.modules())
    with torch.inference_mode():
        for task in spec.tasks(config):
            assert len(model.run(task, [model.example(task)])) == 1


@pytest.mark.parametrize(("build", "spec", "config"), AUTOENCODERS + TRANSFORMERS)
def test_float32_changes_nothing_but_the_last_bits(build: Any, spec: FamilySpec[Any], config: FamilyConfig) -> None:
    exact = build(spec, config)
    model, cosine = converted(exact, "float32")
    assert cosine == 1.0
    assert model.n_parameters == exact.n_parameters
    assert getattr(model, "reads_weights", False) or not any(
        isinstance(module, nn.Linear) for module in model.modules()
    )
    with torch.inference_mode():
        torch.testing.assert_close(model.random_codes(9), exact.random_codes(9), rtol=1e-5, atol=1e-5)
        for task in set(spec.tasks(config)) - {PROJECT_TEXTS}:  # whose two points are one, but for the last bit
            (one,), (other,) = (its.run(task, [its.example(task)]) for its in (model, exact))
            tiny.assert_same(one, other, tolerance=1e-4)


@pytest.mark.parametrize(("build", "spec", "config"), TRANSFORMERS[:1])
def test_int8_does_not_depend_on_the_neighbours(build: Any, spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = cast("TextModel", converted(build(spec, config), "int8")[0])
    some = [random_text(length, model.vocab_size, length) for length in (2, 5, 9, 5)]
    with torch.inference_mode():
        together = vectors(model, some)
        alone = torch.cat([vectors(model, [text]) for text in some])
    is_half = next(model.parameters()).dtype == torch.bfloat16
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-2 if is_half else 1e-5)


@pytest.mark.parametrize("writes", ["float32", *HALVES])
@pytest.mark.parametrize("reads", ["float32", *HALVES])
@pytest.mark.parametrize("name", ["variational-0", "variational-1"])
def test_lossless_streams_are_read_in_every_precision(name: str, writes: Precision, reads: Precision) -> None:
    exact = tiny.build_case(name)
    writer, reader = (converted(exact, precision)[0] for precision in (writes, reads))
    items = tuple((torch.rand(9, 1, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.4).float())
    with torch.inference_mode():
        (written,) = writer.run(COMPRESS, [CompressRequest(items=items, lossless=True)])
        (read,) = reader.run(DECOMPRESS, [DecompressRequest(stream=written.stream, max_items=9)])
    assert torch.equal(torch.stack(read.items), torch.stack(items))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lossless_coding_by_weights_that_are_too_large_is_refused(precision: Precision) -> None:
    exact = tiny.build_case("variational-0")
    next(exact.parameters()).data.view(-1)[0] = 16.01  # which bfloat16 rounds to 16, the largest
    model, _ = converted(exact, precision)
    item = torch.zeros(1, 4, 4)
    assert cast("Autoencoder", model).lossless_coder is None
    with torch.inference_mode(), pytest.raises(InvalidItems, match="this model has no lossless coding"):
        model.run(COMPRESS, [CompressRequest(items=(item,), lossless=True)])


def test_a_weight_that_float16_cannot_hold_is_an_error() -> None:
    model = tiny.build(*next(iter(tiny.CASES.values())))
    name, weight = next(iter(model.named_parameters()))
    weight.data.view(-1)[0] = 1e6
    with pytest.raises(CheckpointError, match=rf"NaN or infinity is in \['{name}'\], cast to float16"):
        convert(model, PrecisionChoice("float16", ""))


@pytest.mark.parametrize(
    ("general", "own", "modality", "chosen"),
    [
        ("auto", None, "text", "float32"),
        ("auto", None, "image", "float32"),
        ("bfloat16", None, "image", "bfloat16"),
        ("bfloat16", "float16", "text", "float16"),
        ("int8", None, "text", "int8"),
        ("int8", None, "series", "float32"),
        ("int8", "bfloat16", "text", "bfloat16"),
    ],
)
def test_the_choice_on_a_cpu(general: Any, own: Any, modality: str, chosen: str) -> None:
    choice = choose_precision(general, own, modality, CPU)
    assert choice.precision == chosen
    assert choice.reason


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({}, "no other is faster here"),
        ({FLOAT32: 1.0, BFLOAT16: 0.95, INT8: 0.95}, "no other is faster here"),
        ({FLOAT32: 1.0, BFLOAT16: 2.0, INT8: 0.8}, "int8 is faster here"),
        ({FLOAT32: 1.0, BFLOAT16: 0.5, INT8: 1.2, INT8_OF_BFLOAT16: 0.4}, "bfloat16 and int8 are faster here"),
    ],
)
def test_auto_on_a_cpu_is_the_exact_precision_and_names_what_was_faster(
    times: dict[Arithmetic, float], words: str
) -> None:
    assert choose_precision("auto", None, "text", CPU, times=times) == PrecisionChoice(
        "float32", f"the exact one; {words}"
    )


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({}, "bfloat16"),
        ({FLOAT32: 4.0, BFLOAT16: 1.0, FLOAT16: 0.95}, "bfloat16"),
        ({FLOAT32: 4.0, BFLOAT16: 8.0, FLOAT16: 1.0}, "float16"),
        ({FLOAT32: 1.0, BFLOAT16: 0.95, FLOAT16: 1.1}, "float32"),
    ],
)
def test_auto_on_a_gpu_is_what_was_fastest(times: dict[Arithmetic, float], chosen: str) -> None:
    assert choose_precision("auto", None, "text", CUDA, times=times) == PrecisionChoice(
        cast("Precision", chosen), "the fastest of cuda:0"
    )


@pytest.mark.parametrize(
    ("general", "own", "modality", "device", "problem"),
    [
        ("auto", "int8", "image", CPU, "dtype is int8, which is for Transformers"),
        ("int8", None, "text", CUDA, "dtype is int8, which is for CPUs; the device is cuda:0"),
    ],
)
def test_what_a_model_or_device_cannot_do_is_refused(
    general: Any, own: Any, modality: str, device: torch.device, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        choose_precision(general, own, modality, device)

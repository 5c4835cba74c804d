"""The short measurement of products that the choice of a precision rests on."""

import pytest
import torch
from torch import nn

from models import product_times
from models.product_times import CANDIDATES, FLOAT32, INT8, INT8_OF_BFLOAT16, is_faster, measure_products

CPU = torch.device("cpu")


def network(width: int) -> nn.Module:
    """A network that spends most of its time on one of its two kinds of layers."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, 3))


def test_every_way_to_multiply_is_measured_but_one_that_may_take_seconds() -> None:
    times = measure_products(network(32), CPU)
    assert set(CANDIDATES["cpu"]) - {INT8_OF_BFLOAT16} <= times.keys()
    assert all(seconds > 0 for seconds in times.values())


@pytest.mark.parametrize(("slowdown", "is_measured"), [(2.0, True), (2.1, False)])
def test_int8_is_multiplied_by_bfloat16_only_where_that_is_fast(
    monkeypatch: pytest.MonkeyPatch, slowdown: float, is_measured: bool
) -> None:
    seconds = {torch.float32: 1.0, torch.bfloat16: slowdown}
    monkeypatch.setattr(product_times, "can_pack", lambda *_: True)
    monkeypatch.setattr(product_times, "_product", lambda weight, x, way: way)
    monkeypatch.setattr(product_times, "_seconds", lambda way, device: seconds[way.inputs])
    assert (INT8_OF_BFLOAT16 in measure_products(network(34 + is_measured), CPU)) == is_measured


def test_models_with_layers_of_the_same_shape_get_the_same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    times = measure_products(network(24), CPU)
    monkeypatch.setattr(product_times, "_seconds", lambda *_: 1 / 0)
    assert measure_products(network(24), CPU) is times
    with pytest.raises(ZeroDivisionError):
        measure_products(network(25), CPU)


def test_a_model_on_the_device_meta_is_measured_as_one_with_weights() -> None:
    with torch.device("meta"):
        model = network(40)
    assert measure_products(model, CPU) is measure_products(network(40), CPU)


def test_a_network_without_linear_layers_has_no_times() -> None:
    assert measure_products(nn.Sequential(nn.GELU()), CPU) == {}


def test_the_shortest_time_counts_and_slow_products_are_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([9.0, 3.0, 99.0, 98.0, *(number / 10 for number in range(1000, 0, -1))])
    monkeypatch.setattr(product_times, "CANDIDATES", {"cpu": (FLOAT32, INT8)})
    monkeypatch.setattr(product_times, "_seconds", lambda *_: next(clock))
    times = measure_products(network(26), CPU)
    assert times == {FLOAT32: 3.0, INT8: 98.0}
    assert next(clock) == 100.0 - (product_times.N_ROUNDS - 1) / 10


def test_faster_is_what_differs_by_more_than_measurements_do() -> None:
    assert is_faster({FLOAT32: 1.0, INT8: 0.89}, INT8, FLOAT32)
    assert not is_faster({FLOAT32: 1.0, INT8: 0.91}, INT8, FLOAT32)
    assert not is_faster({FLOAT32: 1.0}, INT8, FLOAT32)
    assert not is_faster({INT8: 0.1}, INT8, FLOAT32)

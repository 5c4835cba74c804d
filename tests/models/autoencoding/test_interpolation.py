import math

import pytest
import torch

from models.autoencoding.interpolation import interpolate, interpolate_latents
from models.tasks.autoencoding import InterpolateRequest, InterpolationMethod
from tests.models.tiny import build_case


@pytest.mark.parametrize("method", ["linear", "slerp"])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 3)])
def test_a_path_includes_both_ends(method: InterpolationMethod, shape: tuple[int, ...]) -> None:
    start, end = torch.randn(shape), torch.randn(shape)
    path = interpolate_latents(start, end, 7, method)
    assert path.shape == (7, *shape)
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[-1], end)


def test_slerp_rotates_evenly_and_keeps_the_norm() -> None:
    start, end = torch.tensor([2.0, 0, 0]), torch.tensor([0, 2.0, 0])
    path = interpolate_latents(start, end, 10, "slerp")
    angles = torch.atan2(path[:, 1], path[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, math.pi / 2, 10))
    torch.testing.assert_close(path.norm(dim=1), torch.full((10,), 2.0))


@pytest.mark.parametrize("end", [[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0], [2.0, 2.0]])
def test_slerp_between_parallel_latents_is_linear(end: list[float]) -> None:
    start = torch.ones(2)
    path = interpolate_latents(start, torch.tensor(end), 5, "slerp")
    torch.testing.assert_close(path, interpolate_latents(start, torch.tensor(end), 5, "linear"))


def test_the_length_of_series_changes_linearly() -> None:
    request = InterpolateRequest(start=torch.rand(4, 1), end=torch.rand(10, 1), steps=4)
    (result,) = interpolate(build_case("recurrent-0"), [request])
    assert [frame.shape for frame in result.frames] == [(4, 1), (6, 1), (8, 1), (10, 1)]

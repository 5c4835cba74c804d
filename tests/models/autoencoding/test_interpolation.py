import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from models.autoencoding.interpolation import interpolate, interpolate_latents
from models.tasks.autoencoding import InterpolateRequest, InterpolationMethod
from tests.models.tiny import build_case


@pytest.mark.parametrize("method", ["linear", "slerp"])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 3)])
def test_a_path_includes_both_ends(method: InterpolationMethod, shape: tuple[int, ...]) -> None:
    start, end = torch.randn(shape), torch.randn(shape)
    path = interpolate_latents(start, end, 7, method)
    assert path.shape == (7, *shape)
    assert torch.equal(path[0], start)
    assert torch.equal(path[-1], end)


def test_slerp_rotates_evenly_and_keeps_the_norm() -> None:
    start, end = torch.tensor([2.0, 0, 0]), torch.tensor([0, 2.0, 0])
    path = interpolate_latents(start, end, 10, "slerp")
    angles = torch.atan2(path[:, 1], path[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, math.pi / 2, 10))
    torch.testing.assert_close(path.norm(dim=1), torch.full((10,), 2.0))


@given(
    st.one_of(st.floats(0, math.pi), st.sampled_from([1e-7, 1e-5, 1e-3, math.pi - 1e-3, math.pi - 1e-5, math.pi])),
    st.floats(0.1, 10),
    st.floats(0.1, 10),
    st.sampled_from([2, 3, 9]),
)
def test_slerp_is_right_at_every_angle(angle: float, first_norm: float, last_norm: float, steps: int) -> None:
    start = first_norm * torch.tensor([1.0, 0, 0])
    end = last_norm * torch.tensor([math.cos(angle), math.sin(angle), 0])
    path = interpolate_latents(start, end, steps, "slerp")
    assert torch.equal(path[0], start)
    assert torch.equal(path[-1], end)
    share = torch.linspace(0, 1, steps)
    torch.testing.assert_close(path.norm(dim=1), torch.lerp(torch.tensor(first_norm), torch.tensor(last_norm), share))
    angles = torch.atan2(path[:, 1:].norm(dim=1), path[:, 0])
    torch.testing.assert_close(angles, share * angle, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(2,), (5,), (2, 3, 3)])
def test_slerp_between_opposite_latents_is_half_a_circle(shape: tuple[int, ...]) -> None:
    start = torch.randn(shape)
    path = interpolate_latents(start, -2 * start, 5, "slerp").flatten(1)
    torch.testing.assert_close(path.norm(dim=1), torch.linspace(1, 2, 5) * start.norm())
    cosines = functional.cosine_similarity(path, start.flatten()[None])
    torch.testing.assert_close(cosines, torch.linspace(0, math.pi, 5).cos(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("end", [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
def test_slerp_between_latents_that_do_not_rotate_is_linear(end: list[float]) -> None:
    for first, last in ((torch.ones(2), torch.tensor(end)), (torch.tensor(end), torch.ones(2))):
        path = interpolate_latents(first, last, 5, "slerp")
        torch.testing.assert_close(path, interpolate_latents(first, last, 5, "linear"))


def test_a_path_of_one_element_is_linear() -> None:
    path = interpolate_latents(torch.tensor([1.0]), torch.tensor([-1.0]), 3, "slerp")
    assert path.tolist() == [[1], [0], [-1]]


def test_the_length_of_series_changes_linearly() -> None:
    request = InterpolateRequest(start=torch.rand(4, 1), end=torch.rand(10, 1), steps=4)
    (result,) = interpolate(build_case("recurrent-0"), [request])
    assert [frame.shape for frame in result.frames] == [(4, 1), (6, 1), (8, 1), (10, 1)]

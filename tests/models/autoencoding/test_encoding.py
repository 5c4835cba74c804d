import pytest
import torch

from models.autoencoding.encoding import decode, encode, reconstruct
from models.errors import InvalidItems
from models.tasks.autoencoding import DecodeRequest, EncodeRequest, ReconstructRequest
from tests.models.tiny import assert_same, build_case


def test_without_a_posterior_a_draw_is_refused() -> None:
    item = torch.zeros(1, 4, 4)
    with pytest.raises(InvalidItems, match="there is no posterior to draw from") as error:
        encode(build_case("vanilla-0"), [EncodeRequest(item=item, sample=True)])
    assert error.value.problems[0].parameter == "sample"
    with pytest.raises(InvalidItems, match="there is no posterior to draw from") as error:
        reconstruct(build_case("vanilla-0"), [ReconstructRequest(item=item), ReconstructRequest(item=item, seed=0)])
    assert error.value.problems[0].parameter == "seed"


@pytest.mark.parametrize(
    ("case", "length", "message"),
    [
        ("vanilla-0", 5, r"length is 5; it is for series, and this model's items have the shape \[1, 4, 4\]"),
        ("recurrent-0", 0, "length is 0; it must be 1 to 12"),
        ("recurrent-0", 13, "length is 13; it must be 1 to 12"),
    ],
)
def test_a_length_that_the_model_does_not_support_is_refused(case: str, length: int, message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        decode(build_case(case), [DecodeRequest(latent=torch.zeros(3), length=length)])


@pytest.mark.parametrize(("length", "expected"), [(None, 7), (1, 1), (12, 12)])
def test_a_series_has_the_requested_length(length: int | None, expected: int) -> None:
    (result,) = decode(build_case("recurrent-0"), [DecodeRequest(latent=torch.zeros(3), length=length)])
    assert result.reconstruction.shape == (expected, 1)


@pytest.mark.parametrize("lengths", [(5, 5, 5), (3, 12, 1)])
def test_series_of_any_lengths_are_reconstructed_together(lengths: tuple[int, ...]) -> None:
    model = build_case("recurrent-0")
    requests = [ReconstructRequest(item=torch.rand(length, 1)) for length in lengths]
    for request, batched in zip(requests, reconstruct(model, requests), strict=True):
        assert batched.reconstruction.shape == request.item.shape
        assert_same(batched, reconstruct(model, [request])[0])

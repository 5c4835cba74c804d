import numpy as np
import pytest
import torch
from torch.nn import functional

from models.errors import InvalidItems
from models.results import project_to_plane, rank_labels
from models.tasks.classification import Activation


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_labels_are_ranked_by_their_scores(activation: Activation) -> None:
    logits = torch.tensor([0.5, 3.0, -1.0])
    result = rank_labels(("a", "b", "c"), logits, activation=activation, top_k=2)
    scores = {"softmax": functional.softmax(logits, 0), "sigmoid": logits.sigmoid(), "none": logits}[activation]
    assert [label.label for label in result.labels] == ["b", "a"]
    assert [label.score for label in result.labels] == pytest.approx([scores[1].item(), scores[0].item()])


@pytest.mark.parametrize("top_k", [None, 3, 100])
def test_all_labels_are_ranked_unless_fewer_are_wanted(top_k: int | None) -> None:
    result = rank_labels(("a", "b", "c"), torch.tensor([0.5, 3.0, -1.0]), activation="none", top_k=top_k)
    assert [label.label for label in result.labels] == ["b", "a", "c"]


def test_points_are_principal_components() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(50, 6) @ torch.diag(torch.tensor([9.0, 4, 1, 1, 1, 1])) + 3
    result = project_to_plane(vectors, "pca")
    exact = vectors.double().numpy()
    variances, directions = np.linalg.eigh(np.cov(exact.T))
    for i in (0, 1):
        axis = directions[:, -1 - i]
        expected = (exact - exact.mean(0)) @ axis * np.sign(axis[np.abs(axis).argmax()])
        np.testing.assert_allclose(result.points[:, i], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(result.explained_variance, variances[:-3:-1] / variances.sum(), rtol=1e-5)


@pytest.mark.parametrize(("n", "width"), [(1, 3), (2, 1), (5, 1), (3, 2)])
def test_a_component_without_variance_is_zero(n: int, width: int) -> None:
    result = project_to_plane(torch.randn(n, width), "pca")
    assert result.points.shape == (n, 2)
    assert result.points.isfinite().all()
    if min(n - 1, width) < 2:
        assert (result.points[:, 1] == 0).all()
        assert result.explained_variance[1] == 0


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_vectors_that_differ_by_rounding_alone_are_one_point(n: int, scale: float, noise: float) -> None:
    torch.manual_seed(n)
    vectors = scale * (torch.randn(1, 12) + noise * torch.randn(n, 12))
    result = project_to_plane(vectors, "pca")
    assert result.points.tolist() == [[0, 0]] * n
    assert result.explained_variance == (0, 0)


@pytest.mark.parametrize("n", [2, 3, 30])
def test_vectors_on_a_line_have_one_coordinate(n: int) -> None:
    torch.manual_seed(n)
    vectors = torch.randn(12) + torch.linspace(0, 1, n)[:, None] * torch.randn(12)
    result = project_to_plane(vectors, "pca")
    assert (result.points[:, 1] == 0).all()
    assert result.points[:, 0].std() > 0
    assert result.explained_variance == pytest.approx((1, 0))


def test_small_differences_are_shown() -> None:
    torch.manual_seed(0)
    result = project_to_plane(torch.randn(1, 12) + 1e-4 * torch.randn(9, 12), "pca")
    assert min(result.explained_variance) > 0.1


def test_a_latent_of_width_2_is_its_own_point() -> None:
    latents = torch.randn(4, 2)
    assert torch.equal(project_to_plane(latents, "latent").points, latents)
    with pytest.raises(InvalidItems, match="this model's is 3"):
        project_to_plane(torch.randn(4, 3), "latent")

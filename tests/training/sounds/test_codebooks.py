"""Tests of the moving averages that train codebooks."""

import numpy as np
import pytest
import torch

from tests.training.sounds import tiny
from training.sounds.codebooks import DECAY, CodebookAverages, cluster, quantise, residuals_before

N_BOOKS, SIZE, WIDTH = tiny.CONFIG.n_codebooks, tiny.CONFIG.codebook_size, tiny.CONFIG.latent_width


def frames(n_sounds: int = 3, n_frames: int = 20, seed: int = 1) -> torch.Tensor:
    return torch.randn((n_sounds, WIDTH, n_frames), generator=torch.Generator().manual_seed(seed))


def test_the_clusters_of_separate_heaps_are_the_heaps() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    vectors = centres.repeat(40, 1) + 0.1 * torch.randn(120, 2)
    means, nearest = cluster(vectors, 3)
    distances = torch.cdist(means, centres).min(0).values
    if distances.max() > 1:  # two of the first means were drawn from one heap
        pytest.fail(f"the heaps are not found: {means}")
    torch.testing.assert_close(means[nearest], vectors, atol=0.6, rtol=0)


def test_each_codebook_begins_with_what_those_before_it_leave() -> None:
    torch.manual_seed(0)
    model, averages = tiny.model(), CodebookAverages(tiny.CONFIG)
    vectors = torch.randn(2000, WIDTH)
    averages.initialise(model.quantiser, vectors, per_step=100)
    sounds = vectors.t()[None]
    errors = [
        (model.quantiser.decode(model.quantiser.encode(sounds, n)) - sounds).square().mean().item()
        for n in range(1, N_BOOKS + 1)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 0.6
    assert errors[-1] < 0.1
    torch.testing.assert_close(averages.counts.sum(1), torch.full((N_BOOKS,), 100.0))


def test_each_sound_is_quantised_by_its_number_of_codebooks_and_passes_the_gradient_on() -> None:
    quantiser, inputs = tiny.model().quantiser, frames().requires_grad_()
    numbers = torch.tensor([1, 2, N_BOOKS])
    quantised, errors, indices = quantise(quantiser, inputs, numbers)
    for i, n in enumerate(numbers.tolist()):
        expected = quantiser.decode(quantiser.encode(inputs[i : i + 1], n))
        torch.testing.assert_close(quantised[i : i + 1], expected)
        torch.testing.assert_close(errors[i, n - 1].t(), inputs[i] - expected[0])
    assert torch.equal(indices, quantiser.encode(inputs, N_BOOKS))
    weights = frames(seed=2)
    (gradient,) = torch.autograd.grad((quantised * weights).sum(), inputs)
    assert torch.equal(gradient, weights)


def test_codebooks_move_to_the_means_of_what_they_stand_for() -> None:
    quantiser, inputs = tiny.model().quantiser, frames()
    averages = CodebookAverages(tiny.CONFIG)
    averages.counts.fill_(3.0)
    averages.sums.copy_(3.0 * torch.stack(list(quantiser.codebooks)).detach())
    before = torch.stack(list(quantiser.codebooks)).detach().double().numpy()
    _, errors, indices = quantise(quantiser, inputs, torch.full((3,), N_BOOKS))
    flat = indices.transpose(0, 1).flatten(1)
    averages.update(quantiser, residuals_before(errors, inputs), flat, torch.Generator())
    residual = inputs.transpose(1, 2).flatten(0, 1).double().numpy()
    for k in range(N_BOOKS):
        chosen = flat[k].numpy()
        for place in range(SIZE):
            own = residual[chosen == place]
            count = DECAY * 3 + (1 - DECAY) * len(own)
            expected = (DECAY * 3 * before[k, place] + (1 - DECAY) * own.sum(0)) / count
            np.testing.assert_allclose(quantiser.codebooks[k][place].detach().numpy(), expected, atol=1e-5)
        residual = residual - before[k][chosen]


def test_a_vector_that_stands_for_nothing_is_replaced_by_one_of_the_batch() -> None:
    quantiser, inputs = tiny.model().quantiser, frames()
    averages = CodebookAverages(tiny.CONFIG)
    averages.counts.fill_(3.0)
    averages.counts[0, 5] = 0.01
    averages.sums.copy_(averages.counts[:, :, None] * torch.stack(list(quantiser.codebooks)).detach())
    with torch.no_grad():
        quantiser.codebooks[0][5] = 1000.0
    _, errors, indices = quantise(quantiser, inputs, torch.full((3,), N_BOOKS))
    draw = torch.Generator().manual_seed(0)
    averages.update(quantiser, residuals_before(errors, inputs), indices.transpose(0, 1).flatten(1), draw)
    vectors = inputs.transpose(1, 2).flatten(0, 1)
    distances = (vectors - quantiser.codebooks[0][5]).abs().max(1).values
    assert distances.min() < 1e-5

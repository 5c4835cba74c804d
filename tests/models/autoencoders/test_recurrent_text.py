"""Compares the network with its equations in NumPy, and tests how it writes, fills and scores texts."""

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoders.recurrent_text import FAMILY
from models.autoencoders.recurrent_text.config import RecurrentTextConfig
from models.autoencoders.recurrent_text.model import RecurrentTextAutoencoder
from models.autoencoders.recurrent_text.noise import WordNoise
from models.autoencoders.recurrent_text.objective import loss
from models.autoencoders.recurrent_text.tasks import edit_distance
from models.errors import ConfigError, InvalidItems
from models.tasks import (
    DENOISE_SENTENCE,
    DETECT_ANOMALIES,
    IMPUTE_SENTENCE,
    INTERPOLATE,
    PROJECT,
    RECONSTRUCT_SENTENCE,
    Task,
)
from models.tasks.autoencoding import ProjectRequest, ReconstructRequest
from models.tasks.sentences import DenoiseSentenceRequest, ImputeSentenceRequest, SentenceNoise
from tests.models.tiny import assert_same
from training.calibrate import calibrate

Array = NDArray[np.float64]
(CONFIG,) = FAMILY.tiny
END, START, MASK = CONFIG.end_id, CONFIG.start_id, CONFIG.mask_id


def build() -> RecurrentTextAutoencoder:
    """Return a model with large random weights, so that different latents give different texts."""
    return copy.deepcopy(_build_once())


@cache
def _build_once() -> RecurrentTextAutoencoder:
    torch.manual_seed(0)
    model: Any = FAMILY.new_model(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    model.begins_word.copy_(torch.arange(CONFIG.vocab_size) % 3 > 0)
    model.eval().requires_grad_(False)
    items = texts(30)
    model.calibration = calibrate(model, items, [(model, items)], percentile=90.0, n_components=2)
    assert isinstance(model, RecurrentTextAutoencoder)
    return model


def texts(n: int, seed: int = 0) -> list[Tensor]:
    """Return texts of 1 to 8 tokens, none of which is special."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, CONFIG.max_tokens, (n,), generator=generator).tolist()
    return [torch.randint(3, CONFIG.vocab_size, (length,), generator=generator) for length in lengths]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def gru(network: torch.nn.GRU, x: Array, state: Array, suffix: str = "") -> Array:
    """Return the states of one direction, `[T, H]`. Cho et al. 2014, the reset gate after the product."""
    names = [f"{kind}_l0{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    w, u, b, c = (getattr(network, name).double().numpy() for name in names)
    states = []
    for row in x:
        (rx, zx, nx), (rh, zh, nh) = np.split(w @ row + b, 3), np.split(u @ state + c, 3)
        r, z = sigmoid(rx + rh), sigmoid(zx + zh)
        state = (1 - z) * np.tanh(nx + r * nh) + z * state
        states.append(state)
    return np.stack(states)


def affine(layer: torch.nn.Linear, x: Array) -> Array:
    return np.asarray(x @ layer.weight.double().numpy().T + layer.bias.double().numpy())


def waves(n: int) -> Array:
    periods = np.geomspace(2.5, 2 * CONFIG.max_tokens, CONFIG.n_waves)
    angles = 2 * np.pi * np.arange(n)[:, None] / periods
    return np.concatenate([np.ones((n, 1)), np.sin(angles), np.cos(angles)], 1)


def encoded(model: RecurrentTextAutoencoder, ids: Tensor) -> Array:
    embedded = model.words.weight.double().numpy()[ids.numpy()]
    forwards = gru(model.encoder, embedded, np.zeros(CONFIG.encoder_width))
    backwards = gru(model.encoder, embedded[::-1], np.zeros(CONFIG.encoder_width), "_reverse")[::-1]
    memory = affine(model.to_memory, np.concatenate([forwards, backwards, embedded], 1))
    latent = affine(model.to_latent, (memory.T @ waves(len(ids)) / np.sqrt(CONFIG.n_waves)).ravel())
    return np.asarray((latent - latent.mean()) / np.sqrt(latent.var() + 1e-5))


def log_probs(model: RecurrentTextAutoencoder, latent: Array, previous: list[int]) -> Array:
    embeddings = model.words.weight.double().numpy()
    unfolded = affine(model.from_latent, latent).reshape(CONFIG.memory_width, -1)
    read = waves(len(previous)) @ unfolded.T / np.sqrt(CONFIG.n_waves)
    states = gru(
        model.decoder, np.concatenate([embeddings[previous], read], 1), np.tanh(affine(model.to_state, latent))
    )
    logits = affine(model.to_word, np.concatenate([states, read], 1)) @ embeddings.T + model.word_bias.double().numpy()
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


@pytest.mark.parametrize("n_tokens", [1, 3, 8])
def test_it_computes_the_equations(n_tokens: int) -> None:
    model, ids = build(), torch.randint(3, CONFIG.vocab_size, (n_tokens,))
    (latent,) = model.latents_of([ids])
    expected = encoded(model, ids)
    np.testing.assert_allclose(latent, expected, rtol=0, atol=1e-4)
    (losses,) = model.losses_of(latent[None], [ids])
    previous, targets = [START, *ids.tolist()], [*ids.tolist(), END]
    wanted = -log_probs(model, expected, previous)[np.arange(n_tokens + 1), targets]
    np.testing.assert_allclose(losses, wanted, rtol=1e-3, atol=1e-3)


def test_it_writes_the_likeliest_token_until_the_end() -> None:
    model = build()
    latents = torch.randn(20, CONFIG.latent_width)
    lengths = set()
    for latent, text in zip(latents, model.items_of(latents, [()] * 20), strict=True):
        expected: list[int] = []
        while len(expected) < CONFIG.max_tokens:
            scores = log_probs(model, latent.double().numpy(), [START, *expected])[-1]
            scores[[START, MASK]] = -np.inf
            if scores.argmax() == END:
                break
            expected.append(int(scores.argmax()))
        assert text.tolist() == expected
        lengths.add(len(expected))
    assert len(lengths) > 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(1, 6))
def test_a_batch_gives_the_same_as_single_texts(seed: int, n: int) -> None:
    model, items = build(), texts(n, seed)
    latents = model.latents_of(items)
    for item, latent, losses in zip(items, latents, model.losses_of(latents, items), strict=True):
        torch.testing.assert_close(model.latents_of([item])[0], latent, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.losses_of(latent[None], [item])[0], losses, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("task", FAMILY.tasks(CONFIG), ids=lambda task: task.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_task_answers_its_example(task: Task, dtype: torch.dtype) -> None:
    model = build().to(dtype)
    request = model.example(task)
    (result,) = model.run(task, [request])
    assert isinstance(request, task.request)
    assert isinstance(result, task.result)
    assert model.cost_of(task, request) > 0
    if dtype == torch.float32 and task not in (INTERPOLATE, PROJECT):
        for one, other in zip(model.run(task, [request, request]), [result, result], strict=True):
            assert_same(one, other)


def test_equal_texts_are_one_point_of_a_projection() -> None:
    first, second = texts(2)
    (result,) = build().run(PROJECT, [ProjectRequest(items=(first, second, first.clone()))])
    assert torch.equal(result.points[0], result.points[2])
    assert not torch.equal(result.points[0], result.points[1])


def test_the_score_is_the_mean_loss_of_a_text_with_its_end() -> None:
    model, items = build(), texts(5)
    results = model.run(DETECT_ANOMALIES, [DETECT_ANOMALIES.request(item=item) for item in items])
    for item, result in zip(items, results, strict=True):
        (losses,) = model.losses_of(model.latents_of([item]), [item])
        assert result.score == pytest.approx(losses.mean().item(), rel=1e-5)
        assert result.contributions.shape == item.shape
        assert result.contributions.sum().item() == pytest.approx(result.score, rel=1e-5)


def test_a_reconstruction_is_compared_with_its_text() -> None:
    model, items = build(), texts(5)
    results = model.run(RECONSTRUCT_SENTENCE, [ReconstructRequest(item=item) for item in items])
    for item, result in zip(items, results, strict=True):
        assert result.edits == edit_distance(item.tolist(), result.reconstruction.tolist())
        assert result.nll == pytest.approx(model.losses_of(model.latents_of([item]), [item])[0].mean().item())
    with pytest.raises(InvalidItems, match="no posterior"):
        model.run(RECONSTRUCT_SENTENCE, [ReconstructRequest(item=items[0], seed=1)])


def test_noise_is_the_same_for_a_seed_and_another_for_each_text() -> None:
    model, item = build(), torch.arange(3, 11)
    noise = SentenceNoise(dropped=0.3, masked=0.3, moved=2)
    requests = [DenoiseSentenceRequest(item=item, noise=noise, seed=1, index=index) for index in (0, 1, 0)]
    first, second, again = model.run(DENOISE_SENTENCE, requests)
    assert first.noisy.tolist() == again.noisy.tolist() != second.noisy.tolist()
    assert first.edits_before == edit_distance(item.tolist(), first.noisy.tolist())
    assert first.edits_after == edit_distance(item.tolist(), first.denoised.tolist())
    assert torch.equal(
        first.denoised, model.run(DENOISE_SENTENCE, [DenoiseSentenceRequest(item=first.noisy)])[0].denoised
    )


def test_imputation_keeps_the_known_words_and_writes_one_word_for_each_mask() -> None:
    model = build()
    for seed in range(20):
        known = [7, MASK, 8, 10, MASK]
        torch.manual_seed(seed)
        torch.nn.init.normal_(model.words.weight, std=0.8)
        (result,) = model.run(IMPUTE_SENTENCE, [ImputeSentenceRequest(item=torch.tensor(known))])
        found = result.imputed.tolist()
        assert len(found) < CONFIG.max_tokens
        assert not {START, MASK, END} & set(found)
        begins = model.begins_word[found].tolist()
        first = found.index(8, 2)
        assert (found[0], found[first : first + 2]) == (7, [8, 10])
        assert begins[1]
        assert not any(begins[2:first])
        assert begins[first + 2]
        assert not any(begins[first + 3 :])


def test_a_text_of_masks_alone_is_refused() -> None:
    with pytest.raises(InvalidItems, match="at least one must be known"):
        build().run(IMPUTE_SENTENCE, [ImputeSentenceRequest(item=torch.tensor([MASK, MASK]))])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("", "", 0), ("abc", "abc", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("sunday", "saturday", 3)],
)
def test_the_edit_distance(first: str, second: str, expected: int) -> None:
    assert edit_distance(list(map(ord, first)), list(map(ord, second))) == expected


def test_the_loss_counts_real_tokens_only() -> None:
    logits, targets, lengths = torch.randn(2, 4, 5), torch.randint(5, (2, 4)), torch.tensor([4, 2])
    chosen = logits.log_softmax(2).gather(2, targets[:, :, None])[:, :, 0]
    expected = -torch.cat([chosen[0], chosen[1, :2]]).mean()
    torch.testing.assert_close(loss(logits, targets, lengths), expected)


NOISE: dict[str, Any] = {
    "mask_id": MASK,
    "padding_id": START,
    "clean_share": 0.0,
    "scrambled_share": 0.0,
    "dropped_share": 0.0,
    "masked_share": 0.0,
    "reach": 0,
}
IDS = torch.tensor([[4, 3, 5, 7, 6, 8, START, START], [5, 4, 3, START, START, START, START, START]])
BEGINS, LENGTHS = IDS % 3 > 0, torch.tensor([6, 3])
"""Words 4 3 | 5 | 7 6 | 8, and 5 | 4 3."""


def noisy(seed: int = 0, **changes: Any) -> list[list[int]]:
    ids, lengths = WordNoise(**{**NOISE, **changes})(IDS, BEGINS, LENGTHS, torch.Generator().manual_seed(seed))
    assert (ids == START)[torch.arange(8) >= lengths[:, None]].all()
    return [row[:length].tolist() for row, length in zip(ids, lengths.tolist(), strict=True)]


def test_without_noise_texts_stay() -> None:
    assert noisy() == [[4, 3, 5, 7, 6, 8], [5, 4, 3]]
    assert noisy(clean_share=1.0, dropped_share=1.0, masked_share=1.0, reach=9) == noisy()


def test_words_move_as_a_whole_and_by_few_places() -> None:
    orders = {tuple(noisy(seed, reach=1)[0]) for seed in range(200)}
    words = [(4, 3), (5,), (7, 6), (8,)]
    near = {
        tuple(token for place in order for token in words[place])
        for order in ((0, 1, 2, 3), (1, 0, 2, 3), (0, 2, 1, 3), (0, 1, 3, 2), (1, 0, 3, 2))
    }
    assert orders == near
    assert len({tuple(noisy(seed, scrambled_share=1.0)[0]) for seed in range(500)}) == 24


def test_one_mask_stands_for_a_word() -> None:
    assert noisy(masked_share=1.0) == [[MASK] * 4, [MASK] * 2]


def test_words_are_dropped_as_a_whole_but_never_all() -> None:
    first, second = noisy(dropped_share=1.0)
    assert first in ([4, 3], [5], [7, 6], [8])
    assert second in ([5], [4, 3])
    for seed in range(50):
        for row, whole in zip(noisy(seed, dropped_share=0.5), ([4, 3, 5, 7, 6, 8], [5, 4, 3]), strict=True):
            assert row
            assert (4 in row) == (3 in row)
            assert (7 in row) == (6 in row) or whole != [4, 3, 5, 7, 6, 8]


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("latent_width", 0, "positive"),
        ("max_tokens", 1, "at least 2"),
        ("mask_id", 40, "0 to 39"),
        ("start_id", 0, "another"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(name: str, value: int, limit: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be {limit}"):
        RecurrentTextConfig(**{**CONFIG.to_dict(), name: value})


def test_a_latent_that_overflows_is_refused() -> None:
    latents = torch.full((1, CONFIG.latent_width), 3e38)
    with pytest.raises(InvalidItems, match="the numbers of the latent are too large: the result overflows"):
        build().items_of(latents, ())

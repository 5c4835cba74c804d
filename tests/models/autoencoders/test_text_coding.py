"""Lossless streams of texts: the decoder in integers against the network, and what the coder gives back."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.autoencoders.recurrent_text.coding import N_AT_ONCE, TextCoder
from models.autoencoders.recurrent_text.integer_decoder import integer_waves, rounded
from models.autoencoders.recurrent_text.model import MIN_PERIOD, RecurrentTextAutoencoder
from models.autoencoding.compression.entropy import TOTAL
from models.autoencoding.compression.fixed_point import SCALE
from models.autoencoding.compression.stream import Stream, parse_stream
from models.errors import InvalidItems
from models.tasks import COMPRESS_SENTENCES, DECOMPRESS, SCORE_SENTENCE
from models.tasks.autoencoding import DecompressRequest
from models.tasks.sentences import CompressSentencesRequest, ScoreSentenceRequest
from tests.models.autoencoders.test_recurrent_text import CONFIG, build, texts


def coder_of(model: RecurrentTextAutoencoder) -> TextCoder:
    coder = model.lossless_coder
    assert coder is not None
    return coder


def compress(model: RecurrentTextAutoencoder, items: list[Tensor]) -> bytes:
    (result,) = model.run(COMPRESS_SENTENCES, [CompressSentencesRequest(items=tuple(items))])
    found: bytes = result.stream
    return found


def decompress(model: RecurrentTextAutoencoder, stream: bytes, max_items: int = 1000) -> list[list[int]]:
    (result,) = model.run(DECOMPRESS, [DecompressRequest(stream=stream, max_items=max_items)])
    return [item.tolist() for item in result.items]


def test_the_waves_in_decimals_are_those_of_the_network() -> None:
    n_tokens, model = CONFIG.max_tokens, build()
    found = integer_waves(n_tokens, CONFIG.n_waves, MIN_PERIOD) / SCALE
    expected = model.waves(n_tokens).double() / CONFIG.n_waves**0.5
    torch.testing.assert_close(found, expected, rtol=0, atol=1.5 / SCALE)


def test_the_decoder_in_integers_has_the_probabilities_of_the_network() -> None:
    model, items = build(), texts(20)
    decoder = coder_of(model)._decoder
    latents = model.latents_of(items)
    fixed = rounded(latents)
    reads, state = decoder.reads(fixed), decoder.first_state(fixed)
    previous = torch.full((20,), CONFIG.start_id)
    rows, written = [], []
    for place in range(4):
        state = decoder.next_state(previous, reads[:, place], state)
        rows.append(torch.from_numpy(decoder.frequencies(reads[:, place], state)) / TOTAL)
        previous = torch.tensor([int(item[place]) if place < len(item) else CONFIG.end_id for item in items])
        written.append(previous)
    before = torch.stack([torch.full((20,), CONFIG.start_id), *written[:3]], 1)
    expected = model.logits(latents, before).double().softmax(2)
    torch.testing.assert_close(torch.stack(rows, 1).double(), expected, rtol=0, atol=0.02)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 2 * N_AT_ONCE + 3), seed=st.integers(0, 99))
def test_texts_come_back(n: int, seed: int) -> None:
    model, items = MODEL, texts(n, seed)
    assert decompress(model, compress(model, items)) == [item.tolist() for item in items]


def test_the_mask_and_the_longest_text_come_back() -> None:
    items = [torch.tensor([CONFIG.mask_id]), torch.full((CONFIG.max_tokens - 1,), 5)]
    assert decompress(MODEL, compress(MODEL, items)) == [item.tolist() for item in items]


def test_a_stream_does_not_depend_on_the_precision_of_the_network() -> None:
    items = texts(9)
    stream = compress(MODEL, items)
    model = build()
    assert model.lossless_coder is not None  # made of the weights in float32, as a server does
    model.to(torch.bfloat16)
    assert decompress(model, stream) == [item.tolist() for item in items]


def test_a_stream_has_the_bits_of_the_likeliest_latent() -> None:
    items, coder = texts(200), coder_of(MODEL)
    latents = (coder._latents / SCALE).float()
    losses = [MODEL.losses_of(latent.expand(len(items), -1), items) for latent in latents]
    bits = [[loss.div(math.log(2)).clamp(max=math.log2(TOTAL)).sum().item() for loss in row] for row in losses]
    expected = sum(min(column) for column in zip(*bits, strict=True)) + len(items) * math.log2(len(latents))
    assert 32 * len(coder.pack(items)) == pytest.approx(expected, rel=0.03)


def test_damaged_and_foreign_streams_are_refused() -> None:
    stream = compress(MODEL, texts(3))
    with pytest.raises(InvalidItems, match="its checksum does not agree"):
        decompress(MODEL, stream[:-1])
    with pytest.raises(InvalidItems, match="3 items; a request takes 1 to 2"):
        decompress(MODEL, stream, max_items=2)
    parsed = parse_stream(stream, digest=MODEL.digest)
    for changes, detail in (
        ({"words": parsed.words[:-1]}, "payload makes no sense"),
        ({"n_items": 4}, "payload makes no sense"),
        ({"mode": 0, "bits": 8}, "payload makes no sense"),
        ({"shape": (5,)}, "the shape \\[5\\], the model's"),
        ({"digest": b"another!"}, "made by another model"),
    ):
        changed: Any = {name: getattr(parsed, name) for name in Stream.__dataclass_fields__} | changes
        with pytest.raises(InvalidItems, match=detail):
            decompress(MODEL, Stream(**changed).to_bytes())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=6), st.integers(1, 3))
def test_any_other_payload_is_refused_or_means_what_it_says(words: list[int], n: int) -> None:
    payload = np.array(words, dtype=np.uint32)
    found = coder_of(MODEL).unpack(payload, n)
    if found is not None:
        assert len(found) == n
        assert all(0 < len(text) < CONFIG.max_tokens for text in found)
        assert not any(bool(((text == CONFIG.start_id) | (text == CONFIG.end_id)).any()) for text in found)


def test_weights_that_are_too_large_cannot_be_coded() -> None:
    model = build()
    model.to_state.weight.mul_(1e3)
    assert not model.is_lossless
    with pytest.raises(InvalidItems, match="cannot be computed in integers"):
        compress(model, texts(1))


def test_the_score_of_a_text_is_that_of_its_tokens_given_its_latent() -> None:
    items = texts(5)
    results = MODEL.run(SCORE_SENTENCE, [ScoreSentenceRequest(item=item) for item in items])
    for item, result in zip(items, results, strict=True):
        assert result.ids.tolist() == [*item.tolist(), CONFIG.end_id]
        latents = MODEL.latents_of([item])
        before = torch.tensor([[CONFIG.start_id, *item.tolist()]])
        expected = MODEL.logits(latents, before).log_softmax(2)[0].gather(1, result.ids[:, None])[:, 0]
        torch.testing.assert_close(result.log_probs, expected, rtol=1e-4, atol=1e-4)


MODEL = copy.deepcopy(build())

"""Long sounds of models without chunks of their own: they are coded in chunks, so that a pass has a limit."""

from functools import partial
from typing import cast

import pytest
import torch

from models.autoencoders.encodec import model as module
from models.autoencoders.encodec.config import WHOLE_S, EncodecConfig
from models.tasks import COMPRESS_SOUND, DECOMPRESS_SOUND, RECONSTRUCT_SOUND
from models.tasks.audio import CompressSoundRequest, DecompressSoundRequest, ReconstructSoundRequest
from tests.models.autoencoders.test_encodec_tasks import tiny

CHUNK, STRIDE, OVERLAP = 2400, 2320, 80
"""Samples of a chunk, from the beginning of one to that of the next, and of what both have, at 80 samples a second."""


def sound_of(n_samples: int) -> torch.Tensor:
    return torch.rand((1, n_samples), generator=torch.Generator().manual_seed(0)) - 0.5


def reconstruct(sound: torch.Tensor) -> torch.Tensor:
    (result,) = tiny(0).run(RECONSTRUCT_SOUND, [ReconstructSoundRequest(sound=sound)])
    return cast("torch.Tensor", result.sound)


def test_chunks_are_those_of_the_sound_and_fade_into_each_other() -> None:
    sound = sound_of(6000)
    assert tiny(0).config.chunk_lengths(6000) == [CHUNK, CHUNK, 6000 - 2 * STRIDE]
    restored = reconstruct(sound)
    first, second, third = (reconstruct(sound[:, start : start + CHUNK]) for start in (0, STRIDE, 2 * STRIDE))
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
    close(restored[:, :STRIDE], first[:, :STRIDE])
    close(restored[:, CHUNK : 2 * STRIDE], second[:, OVERLAP:STRIDE])
    close(restored[:, STRIDE + CHUNK :], third[:, OVERLAP:])
    step = torch.arange(OVERLAP)
    faded = ((OVERLAP - step) * first[:, STRIDE:] + (step + 1) * second[:, :OVERLAP]) / (OVERLAP + 1)
    close(restored[:, STRIDE:CHUNK], faded)


def test_a_stream_of_a_long_sound_gives_it_back() -> None:
    model, sound = tiny(0), sound_of(5000)
    (compressed,) = model.run(COMPRESS_SOUND, [CompressSoundRequest(sound=sound, bandwidth=0.16)])
    (restored,) = model.run(DECOMPRESS_SOUND, [DecompressSoundRequest(stream=compressed.stream, length=5000)])
    (wanted,) = model.run(RECONSTRUCT_SOUND, [ReconstructSoundRequest(sound=sound, bandwidth=0.16)])
    torch.testing.assert_close(restored.sound, wanted.sound, rtol=1e-4, atol=1e-5)


def test_no_pass_takes_more_samples_than_the_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SAMPLES_AT_ONCE", 1000)
    model, sizes = tiny(0), []
    model.encoder.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[0] * given[0].shape[2]))
    model.decoder.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[0] * given[0].shape[2] * 8))
    requests = [ReconstructSoundRequest(sound=sound_of(n)) for n in (6900, 6900, 100, 100)]
    model.run(RECONSTRUCT_SOUND, requests)
    assert max(sizes) == model.max_pass_samples == CHUNK
    assert len(sizes) == 2 * (2 * 3 + 1)  # the chunks of the long sounds, and both short ones together


def test_published_models_encode_what_they_did_as_a_whole() -> None:
    sizes = {**tiny(0).config.to_dict(), "sampling_rate": 24_000, "ratios": (8, 5, 4, 2), "bandwidths": (6.0,)}
    config = EncodecConfig.from_dict(sizes)
    limit = WHOLE_S * 24_000
    assert config.chunk_lengths(limit) == [limit]
    assert config.chunk_lengths(limit + 1) == [limit, 24_001]
    own = EncodecConfig.from_dict({**sizes, "chunk_s": 1.0, "overlap": 0.01})
    assert own.chunk_lengths(2 * 23_760 + 5) == [24_000, 23_765, 5]

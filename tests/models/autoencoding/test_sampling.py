"""Samples of every shipped autoencoder, and of every tiny one, are what is decoded of their latents."""

from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.tasks import DECODE, SAMPLE
from models.tasks.autoencoding import DecodeRequest, SampleRequest
from tests.models.tiny import CASES, build_case

SHIPPED = {folder.name: folder for folder in find_checkpoints(Path(__file__).parents[3] / "weights" / "autoencoders")}


@cache
def model_of(name: str) -> Autoencoder:
    if name in CASES:
        return build_case(name)
    return cast("Autoencoder", load_model(read_checkpoint(SHIPPED[name])))


@pytest.mark.parametrize("name", [*SHIPPED, *CASES])
def test_the_latent_of_a_sample_is_decoded_to_it(name: str) -> None:
    model = model_of(name)
    choices: list[dict[str, Any]] = [{"sampler": sampler} for sampler in (None, *model.samplers)]
    choices += [{"temperature": 3.0}, *({"label": label} for label in model.labels[:2] if "prior" in model.samplers)]
    choices += [{"length": length} for length in (1, model.max_length) if length]
    if model.max_length is None:
        choices = [choice for choice in choices if "length" not in choice]
    requests = [SampleRequest(seed=3, index=index, **choice) for choice in choices for index in (0, 1)]
    with torch.inference_mode():
        samples = model.run(SAMPLE, requests)
        decoded = model.run(
            DECODE,
            [DecodeRequest(latent=s.latent, length=r.length) for r, s in zip(requests, samples, strict=True)],
        )
        alone = [model.run(SAMPLE, [request])[0] for request in requests]
    for sample, item, one in zip(samples, decoded, alone, strict=True):
        torch.testing.assert_close(item.reconstruction, sample.sample, rtol=0, atol=1e-5)
        assert torch.equal(one.sample, sample.sample)
        assert torch.equal(one.latent, sample.latent)

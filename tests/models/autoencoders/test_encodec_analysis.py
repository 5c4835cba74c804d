"""Latents, classes and anomaly scores of sounds, and the files that they come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import EncodecModel

from models.autoencoders.encodec import FAMILY
from models.autoencoders.encodec.anomalies import FLOOR, anomaly_scores, detect_anomalies
from models.autoencoding.calibration import Calibration
from models.checkpoint import CALIBRATION_FILE, load_model, read_checkpoint
from models.checkpoint.card import write_card
from models.checkpoint.hugging_face import write_published
from models.errors import CheckpointError, InvalidItems
from models.tasks import CLASSIFY_SOUND, DETECT_SOUND_ANOMALIES, RECONSTRUCT_SOUND
from models.tasks.audio import DetectSoundAnomaliesRequest, ReconstructSoundRequest
from tests.models.autoencoders.test_encodec_tasks import random_sounds, tiny
from tests.models.transformers.reference import change, change_weights
from training.calibrate import calibrate_sounds


def write(folder: Path, number: int = 0) -> None:
    write_published(folder, tiny(number), FAMILY, FAMILY.tiny[number], extra={}, dtype=torch.float32)


@pytest.mark.parametrize("number", [0, 1])
def test_a_latent_is_the_mean_and_the_deviation_of_all_frames(number: int) -> None:
    model = tiny(number)
    sounds = random_sounds(model)
    for sound, latent in zip(sounds, model.latents_of(sounds), strict=True):
        frames = []
        for j, length in enumerate(model.config.chunk_lengths(sound.shape[1])):
            chunk = sound[:, j * model.config.chunk_stride :][:, :length]
            if model.config.normalize:
                chunk = chunk / (chunk.mean(0).square().mean().sqrt() + 1e-8)
            frames.append(model.encoder(chunk[None])[0].numpy())
        together = np.concatenate(frames, 1)
        wanted = np.concatenate([together.mean(1), together.std(1)])
        np.testing.assert_allclose(latent, wanted, rtol=1e-4, atol=1e-5)


def test_the_classifier_convolves_the_frames_of_a_sound_and_pools_them() -> None:
    model = tiny(0)
    sounds = random_sounds(model)
    state = {name: weight.double() for name, weight in model.state_dict().items() if "classifier" in name}
    kernel, bias, weight, output_bias = (
        state[f"classifier.{name}"]
        for name in ("convolutions.0.weight", "convolutions.0.bias", "output.weight", "output.bias")
    )
    for frames, found in zip(model.frames_of(sounds), model.class_logits_of(sounds), strict=True):
        n = frames.shape[1]
        padded = torch.nn.functional.pad(frames.double(), (1, 1))
        taps = torch.stack([kernel[:, :, i] @ padded[:, i : i + n] for i in range(3)])
        hidden = taps.sum(0) + bias[:, None]
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
        pooled = torch.cat([hidden.mean(1), (hidden.var(1, correction=0) + 1e-6).sqrt()])
        torch.testing.assert_close(found.double(), weight @ pooled + output_bias, rtol=1e-4, atol=1e-5)


def test_the_logits_of_a_sound_are_those_beside_longer_sounds() -> None:
    classifier = tiny(0).classifier
    assert classifier is not None
    short, long = torch.randn(1, 6, 5), torch.randn(1, 6, 9)
    batch = torch.cat([torch.cat([short, torch.randn(1, 6, 4)], 2), long])
    together = classifier(batch, torch.tensor([5, 9]))
    torch.testing.assert_close(together[:1], classifier(short, torch.tensor([5])))
    torch.testing.assert_close(together[1:], classifier(long, torch.tensor([9])))


def test_a_model_without_labels_has_no_classifier() -> None:
    assert CLASSIFY_SOUND not in tiny(1).task_functions
    with pytest.raises(NotImplementedError, match="without labels"):
        tiny(1).class_logits_of([torch.rand(2, 80)])


def spectra(sound: Tensor, hop: int, length: int) -> NDArray[np.float64]:
    """The spectra of a sound in decibels, `[C, F, N]`, frame by frame."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    padded = np.pad(sound.double().numpy(), ((0, 0), (length // 2, length)))
    frames = [padded[:, start : start + length] * window for start in range(0, sound.shape[1], hop)]
    power = np.abs(np.fft.rfft(np.stack(frames, 1))) ** 2 * (2 / window.sum()) ** 2
    decibels: NDArray[np.float64] = 10 * np.log10(power + FLOOR)
    return decibels


@pytest.mark.parametrize("number", [0, 1])
def test_scores_are_distances_from_the_reconstruction_at_the_least_bandwidth(number: int) -> None:
    model = tiny(number)
    sounds = random_sounds(model)
    restored = [each.sound for each in model.run(RECONSTRUCT_SOUND, [ReconstructSoundRequest(sound=s) for s in sounds])]
    scores = anomaly_scores(model, sounds)
    for i, (sound, other) in enumerate(zip(sounds, restored, strict=True)):
        error = (other - sound).double()
        distance = np.abs(spectra(other, 8, 16) - spectra(sound, 8, 16)).mean()
        assert scores["mse"][i] == pytest.approx(error.square().mean().item(), rel=1e-3)
        assert scores["mae"][i] == pytest.approx(error.abs().mean().item(), rel=1e-3)
        assert scores["spectral"][i] == pytest.approx(distance, rel=1e-3)
    model.calibration = calibrate_sounds(model, sounds, percentile=90.0)
    for name in model.scores:
        requests = [DetectSoundAnomaliesRequest(sound=sound, score=name) for sound in sounds]
        for i, (sound, result) in enumerate(zip(sounds, detect_anomalies(model, requests), strict=True)):
            assert result.score == pytest.approx(scores[name][i].item(), rel=1e-3)
            assert result.contributions.shape == (-(-sound.shape[1] // 8),)
            assert result.contributions.double().sum().item() == pytest.approx(result.score, rel=1e-4)


def test_a_model_without_scores_of_normal_sounds_finds_no_anomalies(tmp_path: Path) -> None:
    with pytest.raises(InvalidItems, match="`manifold calibrate` measures them"):
        detect_anomalies(tiny(0), [DetectSoundAnomaliesRequest(sound=torch.rand(1, 80))])
    write(tmp_path)
    assert DETECT_SOUND_ANOMALIES not in read_checkpoint(tmp_path).tasks


def test_transformers_reads_a_folder_with_a_classifier(tmp_path: Path) -> None:
    write(tmp_path)
    model, sound = tiny(0), torch.rand(1, 333) - 0.5
    theirs: Any = EncodecModel.from_pretrained(tmp_path)
    with torch.inference_mode():
        codes = theirs.encode(sound[None], bandwidth=0.16).audio_codes[0]
    assert torch.equal(codes[0], model.codes_of([sound], [4])[0].chunks[0])


def test_a_classifier_without_weights_is_missing_and_one_that_is_not_declared_is_unused(tmp_path: Path) -> None:
    write(tmp_path)
    whole = load_file(tmp_path / "model.safetensors")
    save_file(
        {name: weight for name, weight in whole.items() if "classifier" not in name}, tmp_path / "model.safetensors"
    )
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.missing_heads == ("sequence",)
    assert CLASSIFY_SOUND not in checkpoint.tasks
    load_model(checkpoint)
    save_file(whole, tmp_path / "model.safetensors")
    change(tmp_path, architectures=["EncodecModel"])
    checkpoint = read_checkpoint(tmp_path)
    assert CLASSIFY_SOUND not in checkpoint.tasks
    load_model(checkpoint)
    parts = ("convolutions.0.bias", "convolutions.0.weight", "output.bias", "output.weight")
    assert checkpoint.unused == [f"classifier.{part}" for part in parts]
    change(tmp_path, architectures=["EncodecForAudioClassification"])
    change_weights(tmp_path, lambda weights: weights.pop("classifier.output.bias"))
    with pytest.raises(CheckpointError, match=r"missing .*classifier\.output\.bias"):
        load_model(read_checkpoint(tmp_path))


def calibrated(folder: Path) -> Calibration:
    write(folder)
    model = tiny(0)
    calibration = calibrate_sounds(model, random_sounds(model), percentile=90.0)
    (folder / CALIBRATION_FILE).write_bytes(calibration.to_bytes())
    return calibration


def test_a_calibration_beside_the_weights_is_read_and_checked(tmp_path: Path) -> None:
    calibration = calibrated(tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    assert DETECT_SOUND_ANOMALIES in checkpoint.tasks
    loaded: Any = load_model(checkpoint)
    assert {name: scores.tolist() for name, scores in loaded.calibration.scores.items()} == {
        name: scores.tolist() for name, scores in calibration.scores.items()
    }
    assert loaded.memory_bytes > tiny(0).memory_bytes
    write_card(tmp_path, licence="Apache-2.0", metrics={})
    load_model(read_checkpoint(tmp_path))
    tensors = load_file(tmp_path / CALIBRATION_FILE)
    save_file({name: each for name, each in tensors.items() if name != "scores.mae"}, tmp_path / CALIBRATION_FILE)
    with pytest.raises(CheckpointError, match=r"calibration.safetensors has the SHA-256 .*; manifold.json says"):
        load_model(read_checkpoint(tmp_path))
    (tmp_path / "manifold.json").unlink()
    with pytest.raises(CheckpointError, match=r"calibration.safetensors has no list of the scores mae"):
        load_model(read_checkpoint(tmp_path))
    save_file({name: each for name, each in tensors.items() if name != "percentile"}, tmp_path / CALIBRATION_FILE)
    with pytest.raises(
        CheckpointError, match=r"calibration.safetensors: the calibration is not readable: 'percentile'"
    ):
        load_model(read_checkpoint(tmp_path))

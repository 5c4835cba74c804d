"""Tests of the stages that train a codec of sounds and its classifier, on tones."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.autoencoders.encodec import FAMILY
from tests.training.sounds import tiny
from tests.training.texts.tiny import losses, mean
from training.errors import TrainingError
from training.sounds.classification import SoundClassification
from training.sounds.reconstruction import N_DIGITS, SoundReconstruction, class_loss
from training.trainer import Run, train

N_SAMPLES = 640


def stage(**changes: Any) -> SoundReconstruction:
    settings: dict[str, Any] = {
        "name": "codebooks",
        "recordings_of": lambda data: tiny.recordings(2),
        "has_codebooks": True,
        "n_samples": N_SAMPLES,
        "sampling_rate": 8000,
        "n_epochs": 1,
        "batch_size": 8,
        "lr": 5e-3,
        "time_weight": 1.0,
        "class_weight": 0.1,
    }
    return SoundReconstruction(**(settings | changes))


def test_items_are_parts_of_all_recordings_with_their_numbers_and_digits() -> None:
    samples, owners = stage().items(tiny.RESOURCES)
    recordings = tiny.recordings(2)
    everything = torch.cat([sound[0] for sound in recordings.sounds])
    assert samples.shape == owners.shape == (len(everything) // N_SAMPLES - 1, 2 * N_SAMPLES)
    assert torch.equal(samples[3], everything[3 * N_SAMPLES : 5 * N_SAMPLES])
    first = recordings.sounds[0].shape[1]
    assert owners[0, : first + 1].tolist() == [0] * first + [N_DIGITS]  # the second take of the digit 0
    assert int(owners.max()) % N_DIGITS == 9


@pytest.mark.parametrize("has_codebooks", [False, True])
def test_the_loss_falls(has_codebooks: bool) -> None:
    torch.manual_seed(0)
    trained = stage(has_codebooks=has_codebooks)
    items = tuple(tensor[:8] for tensor in trained.items(tiny.RESOURCES))
    found = losses(trained, tiny.model(), items, 30)
    assert mean(found[-5:]) < 0.8 * mean(found[:5])


def test_the_networks_and_the_head_have_an_optimiser_and_the_codebooks_move_without() -> None:
    torch.manual_seed(0)
    trained, model = stage(), tiny.model()
    items = tuple(tensor[:24] for tensor in trained.items(tiny.RESOURCES))
    companion = trained.begin(model, items)
    (optimiser,) = trained.optimisers(model, companion)
    optimised = {id(p) for group in optimiser.param_groups for p in group["params"]}
    networks = {id(p) for name, p in model.named_parameters() if name.startswith(("encoder.", "decoder."))}
    assert optimised == networks | {id(p) for p in companion.parameters()}
    assert len(optimised) == len(networks) + 4  # the weights and biases of the head's two layers
    before = [codebook.detach().clone() for codebook in model.quantiser.codebooks]
    trained.loss(model, items, torch.Generator().manual_seed(0), companion)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.quantiser.codebooks, strict=True))


def test_the_number_of_codebooks_is_drawn_from_the_bandwidths() -> None:
    """With the codebooks of the least bandwidth alone, the others get no commitment; half of the sounds have all."""
    torch.manual_seed(0)
    trained, model = stage(time_weight=0.0, class_weight=0.0), tiny.model()
    items = trained.items(tiny.RESOURCES)
    companion = trained.begin(model, items)
    seen = []
    model.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    trained.loss(model, items, torch.Generator().manual_seed(0), companion)
    model.load_state_dict(state)
    sounds, _ = trained._vary(items, torch.Generator().manual_seed(0))
    frames = model.encoder(sounds[:, None])
    counts = [tiny.CONFIG.codebooks_at(bandwidth) for bandwidth in tiny.CONFIG.bandwidths]
    decoded = [model.quantiser.decode(model.quantiser.encode(frames, n)) for n in counts]
    chosen = [[bool((seen[0][i] - each[i]).abs().max() < 1e-4) for each in decoded] for i in range(len(sounds))]
    assert all(sum(row) == 1 for row in chosen)
    assert all(row == [False, False, True] for row in chosen[::2])
    assert {row.index(True) for row in chosen[1::2]} == {0, 1, 2}


def test_the_head_is_given_the_frames_of_one_recording() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(2 * tiny.CONFIG.latent_width, N_DIGITS)
    frames = torch.randn(2, tiny.CONFIG.latent_width, 6)
    owners = torch.tensor([[13, 13, 13, 13, 25, 25], [7, 30, 30, 30, 30, 30]])
    expected = torch.zeros(())
    for own, digit in ((frames[0, :, :4], 3), (frames[1, :, 1:], 0)):
        deviations, means = torch.std_mean(own, 1, correction=0)
        logits = head(torch.cat([means, deviations])[None])
        expected = expected + torch.nn.functional.cross_entropy(logits, torch.tensor([digit]), label_smoothing=0.1)
    torch.testing.assert_close(class_loss(head, frames, owners), expected / 2, rtol=1e-4, atol=1e-4)


def test_a_model_without_classes_has_no_classifier_to_train() -> None:
    model = tiny.model()
    model.classifier = None
    classification = SoundClassification(
        recordings_of=lambda data: tiny.recordings(1), n_epochs=1, batch_size=2, lr=0.1, weight_decay=0.0
    )
    with pytest.raises(TrainingError, match="built without labels"):
        classification.optimisers(model, torch.nn.Module())


def test_the_classifier_learns_digits_from_whole_recordings_and_the_networks_stay() -> None:
    torch.manual_seed(0)
    model = tiny.model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = SoundClassification(
        recordings_of=lambda data: tiny.recordings(2), n_epochs=1, batch_size=20, lr=2e-2, weight_decay=0.0
    )
    items = trained.items(tiny.RESOURCES)
    found = losses(trained, model, items, 80)
    assert found[-1] < 0.7 * found[0]
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith("classifier.")}


def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe: Any = type("TinyRecipe", (), {"name": "tiny", "family": "autoencoders/encodec", "config": tiny.CONFIG})()
    recipe.stages, recipe.n_folds = (stage(name="networks", has_codebooks=False), stage()), 0
    recipe.initialise = lambda model, resources: None

    def run(folder: str, n_steps: int | None = None) -> dict[str, torch.Tensor]:
        where = Run(resources=tiny.RESOURCES, folder=tmp_path / folder, device="cpu", quiet=True, n_steps=n_steps)
        return train(recipe, where).model.state_dict()

    whole = run("whole")
    run("cut", n_steps=2)
    resumed = run("cut")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_initial_weights_keep_the_size_of_what_passes_through() -> None:
    torch.manual_seed(0)
    plain: Any = FAMILY.new_model(tiny.CONFIG)
    sounds = torch.stack([sound[:, :800] for sound in tiny.recordings(2).sounds])
    with torch.no_grad():
        before, frames = plain.encoder(sounds), tiny.model().encoder(sounds)
        decoded = tiny.model().decoder(frames)
    assert frames.std(2).mean() > 4 * before.std(2).mean()
    assert 0.1 < (decoded.std() / sounds.std()).item() < 10

import math
from typing import cast

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.autoencoders.adversarial import FAMILY
from models.autoencoders.adversarial.config import AdversarialConfig
from models.autoencoders.adversarial.model import AdversarialAutoencoder
from models.autoencoders.adversarial.objective import consistency, discrimination, regularisation
from models.tasks import ENCODE
from models.tasks.autoencoding import EncodeRequest


@pytest.fixture
def model() -> AdversarialAutoencoder:
    torch.manual_seed(0)
    config = AdversarialConfig(
        input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3, discriminator_widths=(6,), labels=("a", "b")
    )
    return cast("AdversarialAutoencoder", FAMILY.new_model(config).eval())


def test_the_discriminators_loss_is_its_cross_entropy_and_leaves_the_encoder_alone(
    model: AdversarialAutoencoder,
) -> None:
    items, prior = torch.rand(5, 1, 4, 4), torch.randn(5, 3)
    codes, _ = model.heads(items)
    loss = discrimination(model.discriminator, codes, prior)
    real, fake = model.discriminator(prior).sigmoid(), model.discriminator(codes).sigmoid()
    torch.testing.assert_close(loss, -0.5 * (real.log().mean() + (1 - fake).log().mean()))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in (*model.trunk.parameters(), *model.code_head.parameters()))
    assert all(parameter.grad is not None for parameter in model.discriminator.parameters())


def test_the_encoders_loss_is_small_where_the_discriminator_errs_and_leaves_it_alone(
    model: AdversarialAutoencoder,
) -> None:
    codes, _ = model.heads(torch.rand(5, 1, 4, 4))
    loss = regularisation(model.discriminator, codes)
    torch.testing.assert_close(loss, -model.discriminator(codes).sigmoid().log().mean())
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in model.discriminator.parameters())
    assert all(parameter.grad is not None for parameter in model.code_head.parameters())


def test_the_loss_of_a_discriminator_that_guesses_is_log_2() -> None:
    guessing = nn.Linear(3, 1)
    nn.init.zeros_(guessing.weight)
    nn.init.zeros_(guessing.bias)
    codes = torch.randn(9, 3)
    assert discrimination(guessing, codes, torch.randn(9, 3)).item() == pytest.approx(math.log(2))
    assert regularisation(guessing, codes).item() == pytest.approx(math.log(2))


def test_only_confident_predictions_count() -> None:
    weak = torch.tensor([[4.0, 0.0], [0.1, 0.0], [0.0, 9.0]], requires_grad=True)
    strong = torch.randn(3, 2, requires_grad=True)
    loss = consistency(weak, strong, confidence=0.95)
    expected = functional.cross_entropy(strong[[0, 2]], torch.tensor([0, 1]), reduction="sum") / 3
    torch.testing.assert_close(loss, expected)
    loss.backward()  # type: ignore[no-untyped-call]
    assert weak.grad is None


def test_the_prior_score_is_the_discriminators_probability(model: AdversarialAutoencoder) -> None:
    items = torch.rand(4, 1, 4, 4)
    with torch.inference_mode():
        results = model.run(ENCODE, [EncodeRequest(item=item) for item in items])
        codes, logits = model.heads(items)
        expected = model.discriminator(codes).sigmoid().squeeze(1).tolist()
    assert logits is not None
    assert [result.prior_score for result in results] == pytest.approx(expected, abs=1e-6)
    latents = torch.stack([result.latent for result in results])
    torch.testing.assert_close(latents, torch.cat([codes, logits.softmax(1)], 1))

"""The classifier starts as the encoder, and then goes its own way."""

import pytest
import torch

from models.autoencoders.denoising.config import DenoisingConfig
from models.autoencoders.denoising.model import DenoisingAutoencoder


def test_the_classifier_grows_from_the_encoder() -> None:
    torch.manual_seed(0)
    config = DenoisingConfig(input_shape=(2, 3), hidden_widths=(7,), latent_width=5, labels=("a", "b", "c"))
    model = DenoisingAutoencoder(config)
    model.grow_classifier()
    assert model.classifier is not None
    items = torch.rand(4, 2, 3)
    torch.testing.assert_close(model.classifier[:2](items), model.encoder(items))
    assert torch.equal(model.class_logits(items), torch.zeros(4, 3))
    learned = [parameter.clone() for parameter in model.encoder.parameters()]
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.add_(1)
    assert all(torch.equal(old, new) for old, new in zip(learned, model.encoder.parameters(), strict=True))


def test_without_labels_there_is_none() -> None:
    model = DenoisingAutoencoder(DenoisingConfig(input_shape=(4,), hidden_widths=(), latent_width=2))
    assert model.classifier is None
    with pytest.raises(NotImplementedError, match="without labels"):
        model.grow_classifier()

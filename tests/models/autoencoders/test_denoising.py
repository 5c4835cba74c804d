import pytest
import torch

from models.autoencoders.denoising.config import DenoisingConfig
from models.autoencoders.denoising.model import DenoisingAutoencoder


def test_training_the_classifier_leaves_the_encoder_alone() -> None:
    torch.manual_seed(0)
    config = DenoisingConfig(input_shape=(2, 3), hidden_widths=(7,), latent_width=5, labels=("a", "b", "c"))
    model = DenoisingAutoencoder(config)
    assert model.classifier is not None
    model.classifier.grow_from(model.encoder)
    items = torch.rand(4, 2, 3)
    assert torch.equal(model.class_logits(items), torch.zeros(4, 3))
    before = model.encode(items)
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.add_(1)
    assert torch.equal(model.encode(items), before)


def test_without_labels_there_is_no_classifier() -> None:
    model = DenoisingAutoencoder(DenoisingConfig(input_shape=(4,), hidden_widths=(), latent_width=2))
    assert model.classifier is None
    with pytest.raises(NotImplementedError, match="without labels"):
        model.class_logits(torch.zeros(1, 4))

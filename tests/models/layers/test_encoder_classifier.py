"""A classifier that starts from an encoder."""

import torch
from torch import nn
from torch.nn import functional

from models.layers.encoder_classifier import EncoderClassifier
from models.layers.feedforward import FeedForward


def test_it_starts_with_the_weights_of_the_encoder_and_equal_logits() -> None:
    torch.manual_seed(0)
    encoder = FeedForward((6, 7, 5), "relu")
    classifier = EncoderClassifier(FeedForward((6, 7, 5), "relu"), 5, 3)
    items = torch.rand(4, 6)
    assert not torch.allclose(classifier.encoder(items), encoder(items))
    classifier.grow_from(encoder)
    torch.testing.assert_close(classifier.features(items), functional.gelu(encoder(items)))
    assert torch.equal(classifier(items), torch.zeros(4, 3))


def test_logits_equal_the_definition() -> None:
    torch.manual_seed(0)
    encoder = nn.Linear(6, 5)
    classifier = EncoderClassifier(encoder, 5, 3)
    items = torch.randn(4, 6)
    x = items @ encoder.weight.T + encoder.bias
    features = 0.5 * x * (1 + torch.erf(x / 2**0.5))
    torch.testing.assert_close(classifier(items), features @ classifier.to_logits.weight.T + classifier.to_logits.bias)

"""Initial weights of the networks of a codec, which keep the size of what passes through them."""

import math

import torch
from torch import nn

from models.autoencoders.encodec.model import Encodec
from models.autoencoders.encodec.network import ResidualBlock

GAIN = 1.2
"""About the inverse of the factor by which an ELU makes normal values smaller."""
BRANCH_GAIN = 0.5
"""Factor on the last convolution of the branch of a residual block."""
OUTPUT_GAIN = 0.15
"""Factor on the last convolution of the decoder, since samples are much smaller than 1."""


@torch.no_grad()
def initialise_networks(model: Encodec) -> None:
    """Draw the kernels of both networks from torch's global generator, and set the shortcuts to the identity.

    PyTorch's own initial weights make values smaller in each layer, so that frames hardly depend on the sound at first.

    Source: He et al. 2015, section 2.2.
    """
    for module in (*model.encoder.modules(), *model.decoder.modules()):
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            n_inputs = (
                module.in_channels
                * module.kernel_size[0]
                // (module.stride[0] if isinstance(module, nn.ConvTranspose1d) else 1)
            )
            nn.init.normal_(module.weight, std=GAIN / math.sqrt(n_inputs))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            module.widen.convolution.weight.mul_(BRANCH_GAIN)
            if not isinstance(module.shortcut, nn.Identity):
                nn.init.dirac_(module.shortcut.convolution.weight)
    model.decoder.last.convolution.weight.mul_(OUTPUT_GAIN)

"""The classifier of whole sounds.

Shapes: `B` sounds, `D` width of a frame, `F` frames of the longest sound, `W` channels of the last convolution.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.encodec.config import EncodecConfig

EPSILON = 1e-6
"""What is added to a variance before its root is taken, whose slope is infinite at 0."""


class SoundClassifier(nn.Module):
    """Tells the class of a sound by its frames, which no codebook has approximated.

    Convolutions in time with GELU after each, and a linear layer of the means and the standard deviations over time of
    what they find. Without convolutions, the latent of the sound is what the linear layer is given.
    """

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        widths = config.latent_width, *config.classifier_widths
        kernel = config.classifier_kernel
        self.convolutions = nn.ModuleList(nn.Conv1d(n, m, kernel, padding=kernel // 2) for n, m in pairwise(widths))
        self.output = nn.Linear(2 * widths[-1], len(config.labels))

    def forward(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Map frames `[B, D, F]`, of which the first `n_frames` `[B]` of each sound count, to logits `[B, labels]`."""
        counts = (torch.arange(frames.shape[2], device=frames.device) < n_frames[:, None]).unsqueeze(1)  # (B, 1, F)
        hidden = frames * counts
        for convolution in self.convolutions:
            hidden = functional.gelu(convolution(hidden)) * counts
        means = hidden.sum(2) / n_frames[:, None]  # (B, W)
        variances = ((hidden - means[:, :, None]) * counts).square().sum(2) / n_frames[:, None]
        logits: Tensor = self.output(torch.cat([means, (variances + EPSILON).sqrt()], 1))
        return logits

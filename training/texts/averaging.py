"""The average of a model's weights over training steps (Izmailov et al. 2018; Polyak and Juditsky 1992)."""

from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.recipe import Batch, ModelT, Stage


class WeightAverage(nn.Module):
    """The running mean of a model's weights, kept in buffers so that the saved state of a run includes it."""

    n_added: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.register_buffer("n_added", torch.zeros((), dtype=torch.int64))
        self._names = {name: name.replace(".", "/") for name, _ in model.named_parameters()}
        for name, parameter in model.named_parameters():
            self.register_buffer(self._names[name], torch.zeros_like(parameter.detach()))

    @torch.no_grad()
    def add(self, model: nn.Module) -> None:
        """Add the model's current weights to the mean."""
        self.n_added += 1
        for name, parameter in model.named_parameters():
            mean = self.get_buffer(self._names[name])
            mean += (parameter - mean) / self.n_added

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Set the model's weights to the mean, unless nothing was added to it."""
        if self.n_added:
            for name, parameter in model.named_parameters():
                parameter.copy_(self.get_buffer(self._names[name]))


class AveragedStage(Stage[ModelT]):
    """A stage that ends with the average of the weights over the last `averaged_share` of all steps.

    With a share of 0, the weights stay as the last step leaves them.
    """

    averaged_share: float = 0.0

    @override
    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        return WeightAverage(model) if self.averaged_share else nn.Module()

    @override
    def after_step(self, model: ModelT, companion: nn.Module, progress: float) -> None:
        """Add the weights to the average during the last `averaged_share` of the steps."""
        if self.averaged_share and progress > 1.0 - self.averaged_share:
            cast("WeightAverage", companion).add(model)

    @override
    def end(self, model: ModelT, companion: nn.Module) -> None:
        """Set the model's weights to the average."""
        if self.averaged_share:
            cast("WeightAverage", companion).copy_to(model)

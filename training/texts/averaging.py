"""The average of a model's weights over the steps of a training (Izmailov et al. 2018; Polyak and Juditsky 1992)."""

from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.recipe import Batch, ModelT, Stage


class WeightAverage(nn.Module):
    """The mean of what `add` was given, as buffers: a run's state has them, and a resumed run goes on with them."""

    n_added: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.register_buffer("n_added", torch.zeros((), dtype=torch.int64))
        self._names = {name: name.replace(".", "/") for name, _ in model.named_parameters()}
        for name, parameter in model.named_parameters():
            self.register_buffer(self._names[name], torch.zeros_like(parameter.detach()))

    @torch.no_grad()
    def add(self, model: nn.Module) -> None:
        """One more."""
        self.n_added += 1
        for name, parameter in model.named_parameters():
            mean = self.get_buffer(self._names[name])
            mean += (parameter - mean) / self.n_added

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Make the mean the model's weights, if there is one."""
        if self.n_added:
            for name, parameter in model.named_parameters():
                parameter.copy_(self.get_buffer(self._names[name]))


class AveragedStage(Stage[ModelT]):
    """At its end, the model is the average over the last `averaged` of all steps; 0: it is as the last step left it."""

    averaged_share: float = 0.0

    @override
    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        """Make room for the average."""
        return WeightAverage(model) if self.averaged_share else nn.Module()

    @override
    def after_step(self, model: ModelT, companion: nn.Module, progress: float) -> None:
        """Average the last part."""
        if self.averaged_share and progress > 1.0 - self.averaged_share:
            cast("WeightAverage", companion).add(model)

    @override
    def end(self, model: ModelT, companion: nn.Module) -> None:
        """The average becomes the model."""
        if self.averaged_share:
            cast("WeightAverage", companion).copy_to(model)

"""A recipe that trains in milliseconds on made-up data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.vanilla.model import VanillaAutoencoder
from models.autoencoders.vanilla.objective import squared_error
from models.codecs.image import ImageCodec
from models.family import Model
from training.autoencoders import AutoencoderRecipe
from training.data.files import DataFolder
from training.metrics import reconstruction_errors
from training.optimisers import muon_and_adamw
from training.recipe import Bar, Batch, Resources, Stage


class TinyStage(Stage[VanillaAutoencoder]):
    """Images of 4x4 pixels that lie on a plane, with noise drawn in each step; the companion counts steps."""

    name = "tiny"
    n_epochs = 3
    batch_size = 16
    max_gradient_norm = 1.0

    def items(self, resources: Resources) -> Batch:
        draw = torch.Generator().manual_seed(5)
        return ((torch.rand(100, 2, generator=draw) @ torch.rand(2, 16, generator=draw) / 2).view(-1, 1, 4, 4),)

    def begin(self, model: VanillaAutoencoder, items: Batch) -> nn.Module:
        companion = nn.Module()
        companion.register_buffer("step", torch.zeros(()))
        return companion

    def optimisers(self, model: VanillaAutoencoder, companion: nn.Module) -> list[torch.optim.Optimizer]:
        return muon_and_adamw(model, muon_lr=0.02, adamw_lr=0.01)

    def loss(self, model: VanillaAutoencoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        (items,) = batch
        step = companion.get_buffer("step")
        step += 1
        noisy = items + 0.01 / step.item() * torch.rand(items.shape, generator=generator)
        return squared_error(model(noisy).float(), items)


class TinyRecipe(AutoencoderRecipe):
    """A recipe of pictures of 4x4 pixels."""

    name = "tiny-ae"
    family = "autoencoders/vanilla"
    config = VanillaConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=2)
    codec = {"modality": "image", "shape": [1, 4, 4]}  # noqa: RUF012
    stored_dtype = torch.float32
    n_components = 2
    stages = (TinyStage(),)
    bars = {"test_mse": Bar(must=0.09, aim=0.0)}  # noqa: RUF012
    metrics = {"test_mse": "squared", "test_mae": "absolute"}  # noqa: RUF012
    short_description, headline, summary, caption = "tiny", "{test_mse:.5f}", "Tiny.", "Four."
    procedure, limits, data_licence = "Made up.", "All.", "None."
    default_for, known_failings = ("encode",), "It knows four numbers."

    def calibration_items(self, data: DataFolder) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        (items,) = self.stages[0].items(Resources(data, Path()))
        return list(items[20:]), list(items[:20])

    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        (items,) = self.stages[0].items(resources)
        return reconstruction_errors(model, list(items[:20]))

    def chart_groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        (items,) = self.stages[0].items(Resources(data, Path()))
        return {"even": list(items[::2]), "odd": list(items[1::2])}

    def picture(self, model: Model, resources: Resources) -> bytes:
        (items,) = self.stages[0].items(resources)
        return ImageCodec(1, 4, 4).png(items[:4].numpy())

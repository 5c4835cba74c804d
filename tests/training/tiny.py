"""A recipe that trains in milliseconds on data it makes itself."""

import torch
from torch import Tensor

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.vanilla.objective import squared_error
from models.codecs.image import ImageCodec
from models.family import Model
from training.data.files import DataFolder
from training.metrics import reconstruction_errors
from training.recipe import Bar, Recipe


class TinyRecipe(Recipe):
    """Images of 4x4 that lie on a plane, with noise drawn anew each step."""

    name = "tiny-ae"
    family = "autoencoders/vanilla"
    config = VanillaConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=2)
    codec = {"modality": "image", "shape": [1, 4, 4]}  # noqa: RUF012
    stored_dtype = torch.float32
    n_epochs = 3
    batch_size = 16
    bars = {"test_mse": Bar(must=0.09, aim=0.0)}  # noqa: RUF012

    def training_items(self, data: DataFolder) -> Tensor:
        draw = torch.Generator().manual_seed(5)
        return (torch.rand(100, 2, generator=draw) @ torch.rand(2, 16, generator=draw) / 2).view(-1, 1, 4, 4)

    def initialise(self, model: Model) -> None:
        """What the layers drew themselves is fine."""

    def optimisers(self, model: Model) -> list[torch.optim.Optimizer]:
        matrices = [p for p in model.parameters() if p.ndim == 2]
        return [
            torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0),
            torch.optim.AdamW([p for p in model.parameters() if p.ndim == 1], lr=0.01),
        ]

    def learning_rate(self, progress: float) -> float:
        return 1 - progress

    def loss(self, model: Model, items: Tensor, generator: torch.Generator) -> Tensor:
        noisy = items + 0.01 * torch.rand(items.shape, generator=generator)
        return squared_error(model(noisy).float(), items)

    def evaluate(self, model: Model, data: DataFolder) -> dict[str, float]:
        return reconstruction_errors(model, self.training_items(data)[:20])

    def picture(self, model: Model, data: DataFolder) -> bytes:
        return ImageCodec(1, 4, 4).png(self.training_items(data)[:4].numpy())

    @property
    def card(self) -> str:
        return "error {test_mse:.5f}"

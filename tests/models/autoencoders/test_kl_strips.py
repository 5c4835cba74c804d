"""Pictures in strips: the numbers of the whole picture, in bounded memory."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.autoencoders.kl import strips
from models.autoencoders.kl.config import KlConfig
from models.autoencoders.kl.model import KlAutoencoder
from models.cancellation import WorkAbandoned
from models.ops.cooperation import cooperate
from tests.models.autoencoders.diffusers_reference import assert_close, ours, publish
from tests.models.autoencoders.test_kl import ODD

SIZES = {"high": (11, 6), "wide": (5, 14), "a line": (1, 9)}
"""Rows and columns of latents."""
LARGE = 2048
"""Pixels of a side of the largest picture."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Measures the most bytes of tensors that exist at the same time, of those that operations inside make."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in self._known:
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, n_bytes = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.now += n_bytes
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, key, n_bytes)

    def _remove(self, key: int, n_bytes: int) -> None:
        self._known.remove(key)
        self.now -= n_bytes


def without_whole_pictures(model: KlAutoencoder) -> KlAutoencoder:
    model.limit_memory(0)
    return model


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ODD)
def test_a_picture_in_strips_has_the_numbers_of_diffusers(
    name: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "STRIP_POSITIONS", 50)
    expected = publish(tmp_path, "AutoencoderKL", **ODD[name])
    model = without_whole_pictures(cast("KlAutoencoder", ours(tmp_path)))
    height, width = SIZES[size]
    pictures = torch.rand(2, model.input_shape[0], height * model.scale, width * model.scale)
    posterior, reference = model.posterior(pictures), expected.encode(pictures * 2 - 1).latent_dist
    assert_close(posterior.mean, reference.mean)
    assert_close(posterior.log_variance, reference.logvar)
    latents = torch.randn(2, model.latent_shape[0], height, width)
    assert_close(model.decode(latents) * 2 - 1, expected.decode(latents).sample)


def test_pictures_are_whole_as_long_as_the_memory_allows() -> None:
    model = KlAutoencoder(KlConfig(widths=(4, 6), n_groups=2)).eval().requires_grad_(False)
    model.limit_memory(64 * model.bytes_per_pixel)
    parts: list[None] = []

    def count(n_rows: int) -> int:
        parts.clear()
        with cooperate(between_parts=lambda: parts.append(None)):
            model.decode(torch.zeros(1, 4, n_rows, 4))
            model.encode(torch.zeros(1, 3, n_rows * 2, 8))
        return len(parts)

    assert model.max_whole_pixels == 64
    assert (count(4), count(5) > 20) == (0, True)


def test_work_in_strips_can_be_ended_between_them() -> None:
    model = without_whole_pictures(KlAutoencoder(KlConfig(widths=(4, 6), n_groups=2)).eval().requires_grad_(False))
    n_begun = 0

    def end_the_third() -> None:
        nonlocal n_begun
        n_begun += 1
        if n_begun == 3:
            raise WorkAbandoned

    with cooperate(between_parts=end_the_third), pytest.raises(WorkAbandoned):
        model.decode(torch.zeros(1, 4, 5, 5))
    assert n_begun == 3


def test_the_maps_of_a_large_picture_take_no_more_memory_than_is_claimed() -> None:
    """Tensors without content are counted, which have the sizes of those with content and take no time."""
    with torch.device("meta"):
        model = KlAutoencoder(KlConfig(widths=(128, 256, 512, 512), n_layers=2, has_attention=False))
    claimed = model.max_pixels_at_once * model.bytes_per_pixel + LARGE**2 * model.kept_bytes_per_pixel
    without_whole_pictures(model.eval().requires_grad_(False))
    for network, shape in ((model.decode, (1, 4, LARGE // 8, LARGE // 8)), (model.encode, (1, 3, LARGE, LARGE))):
        with LiveBytes() as live:
            network(torch.empty(shape, device="meta"))
        assert 0.5 * claimed < live.peak < claimed < 4e9

"""Which implementation multiplies weights of a type."""

import pytest
import torch

from models import kernels


@pytest.mark.skipif(kernels.missing() is not None, reason=str(kernels.missing()))
@pytest.mark.parametrize("has_tiles", [False, True])
def test_only_bfloat16_is_left_to_the_tiles_of_a_processor(monkeypatch: pytest.MonkeyPatch, *, has_tiles: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    assert kernels.multiply(torch.float32, torch.float32)
    assert kernels.multiply(torch.int8, torch.float32)
    assert kernels.multiply(torch.int8, torch.bfloat16)
    assert kernels.multiply(torch.bfloat16, torch.bfloat16) != has_tiles

"""Which implementation multiplies weights of a type."""

import pytest
import torch

from models.ops import avx512


@pytest.mark.skipif(avx512.unavailable_reason() is not None, reason=str(avx512.unavailable_reason()))
@pytest.mark.parametrize("has_tiles", [False, True])
def test_only_bfloat16_is_left_to_the_tiles_of_a_processor(monkeypatch: pytest.MonkeyPatch, *, has_tiles: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    assert avx512.is_fastest_for(torch.float32, torch.float32)
    assert avx512.is_fastest_for(torch.int8, torch.float32)
    assert avx512.is_fastest_for(torch.int8, torch.bfloat16)
    assert avx512.is_fastest_for(torch.bfloat16, torch.bfloat16) != has_tiles

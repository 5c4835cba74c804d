"""Whether there are compiled kernels, and what for."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch

from models.ops import avx512
from models.ops.avx512 import library
from tests.models.ops.kernels import needs_kernels


def test_kernels_are_available_where_they_can_be_compiled() -> None:
    can_be = shutil.which("g++") is not None and torch.cpu._is_avx512_supported()
    assert (avx512.unavailable_reason() is None) == can_be


def test_the_reason_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reason = cast("Callable[[], str]", library.unavailable_reason.__wrapped__)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: True)
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "kernels.so")
    assert "g++" in reason()
    (tmp_path / "kernels.so").write_bytes(b"no library")
    monkeypatch.setattr(library, "function", library.function.__wrapped__)
    assert "kernels.so" in reason()
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: False)
    assert "AVX-512" in reason()


@needs_kernels
@pytest.mark.parametrize("has_tiles", [False, True])
def test_only_bfloat16_is_left_to_the_tiles_of_a_processor(monkeypatch: pytest.MonkeyPatch, *, has_tiles: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    assert avx512.is_fastest_for(torch.float32, torch.float32)
    assert avx512.is_fastest_for(torch.int8, torch.float32)
    assert avx512.is_fastest_for(torch.int8, torch.bfloat16)
    assert avx512.is_fastest_for(torch.bfloat16, torch.bfloat16) != has_tiles


def test_there_are_no_kernels_for_other_dtypes_devices_and_gradients() -> None:
    assert not avx512.supports_dtype(torch.float16, torch.device("cpu"))
    assert not avx512.supports_dtype(torch.float32, torch.device("cuda"))
    assert not avx512.supports_tensor(torch.zeros(3, requires_grad=True))

"""Where a training may compute in bfloat16."""

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for bfloat16, instead of emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.12
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))

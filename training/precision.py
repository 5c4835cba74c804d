"""What a device computes fast."""

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are faster than in float32 there, rather than emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.12
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))

"""Values on their way to where a model lies, and back."""

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Values to a device; from the CPU to a GPU through pinned memory, so that nobody waits until they are there."""
    if device.type == "cuda" and values.is_cpu:
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def on_cpu(values: Tensor) -> Tensor:
    """As results are to be, float32; from a GPU through pinned memory, which is many times as fast."""
    if not values.is_cuda:
        return values.to(device="cpu", dtype=torch.float32)
    received = torch.empty(values.shape, dtype=torch.float32, pin_memory=True)
    received.copy_(values.float(), non_blocking=True)
    torch.cuda.current_stream(values.device).record_event().synchronize()  # not for what others launch meanwhile
    return received

"""Transfers of values to the device of a model, and of its results to the CPU."""

import torch
from torch import Tensor

from models.ops.cooperation import launch_lock_released


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Move values to a device; from the CPU to a GPU through pinned memory, without waiting for their arrival."""
    if device.type == "cuda" and values.is_cpu:
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def to_cpu(values: Tensor) -> Tensor:
    """Return results on the CPU in float32. From a GPU they come through pinned memory, which is many times as fast.

    Other threads may launch work on the GPU while this one waits.
    """
    if not values.is_cuda:
        return values.float()
    received = torch.empty(values.shape, dtype=torch.float32, pin_memory=True)
    received.copy_(values.float(), non_blocking=True)
    arrival = torch.cuda.current_stream(values.device).record_event()  # an event, not to wait for others' work
    with launch_lock_released():
        arrival.synchronize()
    return received

"""Asynchronous host-to-device copies."""

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device without waiting for the device.

    A plain copy to a GPU waits until all work in its queue is done. A copy
    from pinned memory joins the queue instead. Traces and captured graphs
    outlive that memory, so they use the plain copy, as do other devices.

    Args:
        tensor: The tensor, usually made on the CPU.
        device: Target device.

    Example:
        >>> send(torch.arange(3), torch.device('cpu'))
        tensor([0, 1, 2])
    """
    plain = (
        tensor.device.type != 'cpu'
        or device.type != 'cuda'
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch.cuda.is_current_stream_capturing()
    )
    if plain:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)

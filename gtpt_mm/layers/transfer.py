"""Copies to a device that nothing waits for."""

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device without waiting for the device.

    A plain copy to a GPU waits until all work in its queue is done. From
    pinned memory it joins the queue. Compiled graphs do it in their own way.

    Args:
        tensor: Numbers, mostly made on the CPU.
        device: Where they go.

    Example:
        >>> send(torch.arange(3), torch.device('cpu'))
        tensor([0, 1, 2])
    """
    to_cuda = device.type == 'cuda' and tensor.device.type == 'cpu'
    if to_cuda and not torch.compiler.is_compiling():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)

"""Whether autocast is on, in every version of torch."""

import torch


def is_autocast_on(device_type: str) -> bool:
    """Return whether operations on a kind of device run in lower precision.

    Args:
        device_type: ``'cpu'`` or ``'cuda'``.
    """
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # torch < 2.4
        if device_type == 'cpu':
            return torch.is_autocast_cpu_enabled()
        return torch.is_autocast_enabled()

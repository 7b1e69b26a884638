"""Weights that depend on the names of tensors alone."""

import zlib

import numpy as np
import torch


def fill_by_name(module: torch.nn.Module) -> torch.nn.Module:
    """Give every float in a state dict a value that its name decides.

    Weights of more than one dimension have the variance of 1 / fan-in, biases
    and means are near 0, scales and variances near 1. Nothing is at a start
    where a residual unit is the identity or a gradient zero.
    """
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        values = torch.from_numpy(rng.standard_normal(tuple(tensor.shape)))
        if tensor.dim() > 1:
            values *= tensor[0].numel() ** -0.5
        elif name.endswith(('weight', 'running_var')):
            values = 1 + 0.1 * values.abs()
        else:
            values *= 0.1
        tensor.copy_(values)
    return module

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


def sharpen_head(model: torch.nn.Module) -> torch.nn.Module:
    """Give random heatmaps and logits the range of trained ones.

    In flat heatmaps rounding alone would move the points.
    """
    torch.manual_seed(0)
    for name in ('final_layer', 'fc_x', 'fc_y', 'cls_x', 'cls_y'):
        layer = getattr(model.head, name, None)
        if layer is not None:
            torch.nn.init.normal_(layer.weight, std=0.3)
    model.eval()
    if type(model.head).__name__ == 'HeatmapHead':
        w, h = model.head.decoder.input_size
        with torch.no_grad():
            highest = model._forward(torch.randn(2, 3, h, w)).max()
            model.head.final_layer.weight /= highest
            model.head.final_layer.bias /= highest
    return model

"""Multi-scale deformable attention with the signatures of ``mmcv._ext``."""

# B batch, V values of all levels, Q queries, M heads, D channels of a head,
# L levels, P points per level

import torch
import torch.nn.functional as F
from torch import Tensor


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Sum values sampled at a few places of every level.

    Source: Zhu et al., "Deformable DETR", Sec. 4.1, Eq. 3. Computed in 32
    bits at least: half precision cannot tell the places of a large map apart.

    Args:
        value: Values of all levels, (B, V, M, D).
        value_spatial_shapes: Size (h, w) of each level, (L, 2).
        value_level_start_index: First value of each level, (L,).
        sampling_locations: Places (x, y), (B, Q, M, L, P, 2), with 0 and 1
            at the outer edges of the map.
        attention_weights: Weight of each place, (B, Q, M, L, P).
        im2col_step: Unused; the batch size of mmcv's kernel.

    Returns:
        (B, Q, M * D), in the type of ``value``.
    """
    output = _attend(
        value,
        value_spatial_shapes.tolist(),
        value_level_start_index.tolist(),
        sampling_locations,
        attention_weights,
    )
    return output.to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients of values, places and weights.

    Arguments as in :func:`ms_deform_attn_forward`; ``grad_value``,
    ``grad_sampling_loc`` and ``grad_attn_weight`` receive the results.
    """
    leaves = [
        tensor.detach().requires_grad_()
        for tensor in (value, sampling_locations, attention_weights)
    ]
    with torch.enable_grad():
        output = _attend(
            leaves[0],
            value_spatial_shapes.tolist(),
            value_level_start_index.tolist(),
            *leaves[1:],
        )
    gradients = torch.autograd.grad(output, leaves, grad_output.to(output))
    for target, gradient in zip(
        (grad_value, grad_sampling_loc, grad_attn_weight),
        gradients,
        strict=True,
    ):
        target.copy_(gradient)


def _attend(
    value: Tensor,
    shapes: list[tuple[int, int]],
    starts: list[int],
    places: Tensor,
    weights: Tensor,
) -> Tensor:
    """Return (B, Q, M * D) in at least 32 bits."""
    dtype = torch.promote_types(value.dtype, torch.float32)
    batch, _, heads, channels = value.shape
    queries = places.shape[1]
    grid = 2 * places.to(dtype) - 1  # grid_sample has the edges at -1 and 1
    grid = grid.transpose(1, 2).flatten(0, 1)  # (B * M, Q, L, P, 2)
    weights = weights.to(dtype).transpose(1, 2).flatten(0, 1)
    output = value.new_zeros(batch * heads, channels, queries, dtype=dtype)
    with torch.autocast(value.device.type, enabled=False):
        for level, ((h, w), start) in enumerate(
            zip(shapes, starts, strict=True)
        ):
            maps = value[:, start : start + h * w].to(dtype)
            maps = maps.permute(0, 2, 3, 1)  # (B, M, D, h * w)
            maps = maps.reshape(batch * heads, channels, h, w)
            sampled = F.grid_sample(  # (B * M, D, Q, P)
                maps, grid[:, :, level], align_corners=False
            )
            output = output + (sampled * weights[:, None, :, level]).sum(-1)
    return output.view(batch, heads * channels, queries).transpose(1, 2)

"""Position embeddings of a token grid."""

# N image tokens, C channels, (h, w) token grid

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def sine_pos_embed(
    grid_size: tuple[int, int],
    embed_dims: int,
    temperature: float = 10000.0,
    device: torch.device | None = None,
) -> Tensor:
    """Return the fixed 2-D sine position table of a token grid.

    The first C/2 channels encode the row, the last C/2 the column. A
    coordinate counts from 1, is divided by the length of its axis and scaled
    to 2 pi; sine and cosine alternate, in pairs of one frequency.

    Source: the table of DETR (Carion et al., 2020, Sec. A.4, normalised), as
    used by TokenPose and GTPT.

    Args:
        grid_size: Token grid (h, w).
        embed_dims: Channels C; a multiple of 4.
        temperature: Ratio of the longest to the shortest wavelength.
        device: Device of the table; None is PyTorch's default.

    Returns:
        Table, (h * w, C), row-major, float32.

    Raises:
        ValueError: If ``embed_dims`` is not a multiple of 4.

    Example:
        >>> sine_pos_embed((16, 16), 32).shape
        torch.Size([256, 32])
    """
    if embed_dims % 4:
        raise ValueError(
            f'embed_dims must be a multiple of 4 for a 2-D sine table, '
            f'got {embed_dims}'
        )
    half = embed_dims // 2
    has_double = device is None or device.type != 'mps'
    dtype = torch.float64 if has_double else torch.float32
    pair = torch.arange(half, dtype=dtype, device=device) // 2
    wavelength = temperature ** (2 * pair / half)

    def encode(length: int) -> Tensor:
        index = torch.arange(1, length + 1, dtype=dtype, device=device)
        angle = index / (length + 1e-6) * 2 * math.pi
        angle = angle[:, None] / wavelength
        return torch.stack(
            (angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2
        ).flatten(1)  # (length, C/2)

    h, w = grid_size
    rows = encode(h)[:, None].expand(h, w, half)
    columns = encode(w)[None].expand(h, w, half)
    return torch.cat((rows, columns), dim=2).flatten(0, 1).float()


def sine_point_embed(
    points: Tensor, embed_dims: int, temperature: float = 10000.0
) -> Tensor:
    """Encode points as :func:`sine_pos_embed` encodes the cells of a grid.

    Args:
        points: Points (x, y), (..., 2), in units of the map; or boxes (cx,
            cy, w, h), (..., 4).
        embed_dims: Channels C for two coordinates; a multiple of 4.
        temperature: Ratio of the longest to the shortest wavelength.

    Returns:
        (..., C): y in the first half, x in the second; for boxes (..., 2 C),
        followed by w, then h.

    Example:
        >>> sine_point_embed(torch.rand(5, 17, 2), 32).shape
        torch.Size([5, 17, 32])
    """
    num_pairs = embed_dims // 4
    pair = torch.arange(num_pairs, device=points.device)
    wavelength = temperature ** (pair / num_pairs) / (2 * math.pi)
    # An index [1, 0, 2, 3] would be copied to the device.
    points = torch.cat((points[..., :2].flip(-1), points[..., 2:]), dim=-1)
    angle = points[..., None] / wavelength  # (..., 2 or 4, C / 4)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-3)


def resize_pos_embed(
    table: Tensor, old_size: tuple[int, int], new_size: tuple[int, int]
) -> Tensor:
    """Bring a learned position table to another grid, by bicubic sampling.

    Args:
        table: Positions, (1, h * w, C), row-major.
        old_size: Grid (h, w) of the table.
        new_size: New grid (h, w).

    Returns:
        Positions on the new grid, (1, h * w, C); the table itself if the
        grids are equal.

    Raises:
        ValueError: If the table is not of ``old_size``.

    Example:
        >>> resize_pos_embed(torch.rand(1, 192, 32), (16, 12), (24, 18)).shape
        torch.Size([1, 432, 32])
    """
    if table.shape[1] != old_size[0] * old_size[1]:
        raise ValueError(
            f'a position table of {table.shape[1]} rows does not fit the grid '
            f'(h, w) = {tuple(old_size)}'
        )
    if tuple(old_size) == tuple(new_size):
        return table
    maps = table.unflatten(1, old_size).permute(0, 3, 1, 2)
    maps = F.interpolate(maps, new_size, mode='bicubic', align_corners=False)
    return maps.flatten(2).transpose(1, 2)


def guess_grid_size(
    num_rows: int, like: tuple[int, int] | None = None
) -> tuple[int, int] | None:
    """Guess the grid of a position table from its number of rows.

    The aspect ratio of ``like`` is tried first, then 4 : 3
    (all released ViTPose) and 1 : 1 (pretrained encoders).

    Args:
        num_rows: Rows of the table.
        like: Grid (h, w) of the model that takes the table, if known.

    Returns:
        Grid (h, w), or None if the number fits none of these shapes.

    Example:
        >>> guess_grid_size(192), guess_grid_size(196), guess_grid_size(193)
        ((16, 12), (14, 14), None)
        >>> guess_grid_size(192, like=(9, 3))
        (24, 8)
    """
    ratios = [(4, 3), (1, 1)]
    if like is not None:
        divisor = math.gcd(*like)
        ratios.insert(0, (like[0] // divisor, like[1] // divisor))
    for h, w in ratios:
        scale = math.isqrt(num_rows // (h * w))
        if scale and num_rows == h * w * scale**2:
            return h * scale, w * scale
    return None

"""Cut a token map into windows and join it again."""

# B batch, W windows of a map, n tokens of a window, C channels, (h, w) grid

import torch
import torch.nn.functional as F
from torch import Tensor


def split_windows(
    x: Tensor,
    window_size: tuple[int, int],
    shift: tuple[int, int] = (0, 0),
) -> Tensor:
    """Cut maps into windows, row by row.

    A grid that the window does not divide is padded with zeros at the bottom
    and the right. With a shift the map is first rolled up and left, so the
    last windows contain tokens of two opposite borders; ``window_mask``
    separates them.

    Args:
        x: Token maps, (B, h, w, C).
        window_size: Window (h, w) in tokens.
        shift: Offset of the windows (down, right) in tokens, smaller than
            the window.

    Returns:
        Windows, (B * W, n, C), one map after the other.

    Example:
        >>> split_windows(torch.rand(2, 8, 6, 5), (4, 3)).shape
        torch.Size([8, 12, 5])
    """
    height, width = window_size
    x = F.pad(x, (0, 0, 0, -x.shape[2] % width, 0, -x.shape[1] % height))
    if any(shift):
        x = x.roll((-shift[0], -shift[1]), (1, 2))
    x = x.unflatten(2, (-1, width)).unflatten(1, (-1, height))
    x = x.transpose(2, 3)  # (B, rows, columns, height, width, C)
    return x.flatten(0, 2).flatten(1, 2)


def join_windows(
    windows: Tensor,
    window_size: tuple[int, int],
    grid_size: tuple[int, int],
    shift: tuple[int, int] = (0, 0),
) -> Tensor:
    """Undo ``split_windows``: (B * W, n, C) to (B, h, w, C)."""
    h, w = grid_size
    height, width = window_size
    rows, columns = -(-h // height), -(-w // width)
    x = windows.unflatten(1, window_size).unflatten(0, (-1, rows, columns))
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    if any(shift):
        x = x.roll(shift, (1, 2))
    return x[:, :h, :w]


def pool_windows(x: Tensor, window_size: tuple[int, int]) -> Tensor:
    """Return the mean of each window that is not shifted.

    Args:
        x: Token maps, (B, h, w, C).
        window_size: Window (h, w) in tokens; padding is not counted.

    Returns:
        One token for each window, (B, W, C).
    """
    x = x.permute(0, 3, 1, 2)
    x = F.avg_pool2d(x, window_size, ceil_mode=True)
    return x.flatten(2).transpose(1, 2)


def window_mask(
    grid_size: tuple[int, int],
    window_size: tuple[int, int],
    shift: tuple[int, int] = (0, 0),
    device: torch.device | str | None = None,
) -> Tensor | None:
    """Return the attention mask of shifted or padded windows.

    Args:
        grid_size: Token grid (h, w).
        window_size: Window (h, w) in tokens.
        shift: As in ``split_windows``.
        device: Device of the mask.

    Returns:
        Booleans, (W, n, n), True where a token may attend to another; None if
        all may. Padding attends to padding, so no row is empty.
    """
    h, w = grid_size
    below, right = -h % window_size[0], -w % window_size[1]
    if not any((*shift, below, right)):
        return None
    rows = torch.arange(h + below, device=device) < shift[0]
    columns = torch.arange(w + right, device=device) < shift[1]
    region = 2 * rows.long()[:, None] + columns.long()
    region[h:] = -1
    region[:, w:] = -1
    region = split_windows(region[None, ..., None], window_size, shift)
    return region == region.transpose(1, 2)

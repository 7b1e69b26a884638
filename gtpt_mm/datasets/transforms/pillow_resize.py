"""Pillow's bilinear resize, the same pixels in less time."""

# n, m sides of an image along an axis before and after

import cv2
import mmcv
import numpy as np

#: Pillow computes with weights of 22 bits, in whole numbers.
BITS = 22
HALF = 1 << (BITS - 1)
#: Below this side the two rounded weights of a pair sum to 1. Both would be
#: rounded up only from an exact half of 2 ** -22. Weights are multiples of
#: 1 / (2 * m): none is such a half, or so near to one that float64 errs.
SIDE_LIMIT = 1 << 14
#: Bytes of whole numbers that are computed at a time: they stay in the caches.
CHUNK_BYTES = 1 << 19


def resize_bilinear(
    image: np.ndarray,
    size: tuple[int, int],
    region: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Resize an image as ``mmcv.imresize(..., backend='pillow')`` does.

    Pillow resizes rows, rounds, and then columns. Enlarging mixes two pixels
    p and q, with a share of q that is the same for all rows or all columns:
    p + round(share * (q - p)). Here NumPy computes this for many pixels at a
    time, in the same whole numbers. Pillow itself resizes images that become
    smaller or huge, or that are not (h, w, 3) of uint8.

    Args:
        image: (h, w, 3), uint8.
        size: New size (w, h).
        region: Left, top, width and height of the part of the new image that
            is returned; None: all. When enlarging, little more than it is
            computed.

    Returns:
        New image, contiguous in memory.
    """
    left, top, width, height = region or (0, 0, *size)
    h, w = image.shape[:2]
    is_rgb = image.shape[2:] == (3,) and image.dtype == np.uint8
    enlarges = w <= size[0] < SIDE_LIMIT and h <= size[1] < SIDE_LIMIT
    if not (is_rgb and enlarges):
        image = mmcv.imresize(
            np.ascontiguousarray(image), size, backend='pillow'
        )[top : top + height, left : left + width]
        return np.ascontiguousarray(image)
    rows = slice(top, top + height)
    first, share = (part[rows] for part in weigh_rows(h, size[1]))
    image = np.ascontiguousarray(image[first[0] : first[-1] + 2])
    first = first - first[0]
    columns = slice(left, left + width)
    turned = enlarge_rows(
        cv2.transpose(image),
        *(part[columns] for part in weigh_rows(w, size[0])),
    )
    return enlarge_rows(cv2.transpose(turned), first, share)


def weigh_rows(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how n rows become m, n <= m < SIDE_LIMIT.

    Returns:
        Index of the first row of each pair, and the weight of the second one
        in units of 2 ** -22, (m,) each. The two weights of a pair sum to 1.
    """
    center = (np.arange(m) + 0.5) * (n / m)
    first = np.maximum((center - 0.5).astype(np.int64), 0)
    distance = first[:, None] + np.arange(2) - center[:, None] + 0.5
    weights = np.maximum(0, 1 - np.abs(distance))
    weights[first + 1 >= n, 1] = 0
    share = weights[:, 1] / weights.sum(1)
    return first, (0.5 + share * (1 << BITS)).astype(np.int32)


def enlarge_rows(
    image: np.ndarray, first: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Return the rows of a higher image, (m, w, 3).

    Args:
        image: Rows of the lower image, (n, w, 3), contiguous in memory.
        first: Index of the first row of each pair, (m,).
        share: Weight of the second row of each pair in units of 2 ** -22,
            (m,).
    """
    if not share.any():
        return image[first]
    rows = image.reshape(len(image), -1)
    out = np.empty((len(first), rows.shape[1]), np.uint8)
    size = max(1, CHUNK_BYTES // (4 * rows.shape[1]))
    scratch = np.empty((2, size + 2, rows.shape[1]), np.int32)
    for start in range(0, len(out), size):
        chunk = slice(start, start + size)
        _mix_rows(rows, first[chunk], share[chunk], out[chunk], scratch)
    return out.reshape(len(out), *image.shape[1:])


def _mix_rows(
    rows: np.ndarray,
    first: np.ndarray,
    share: np.ndarray,
    out: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Fill ``out`` with mixtures of pairs of rows."""
    rows = rows[first[0] : first[-1] + 2]
    index = first - first[0]
    steps, change = scratch[0, : len(rows)], scratch[1, : len(out)]
    steps[:] = rows
    # The last row of an image has no next one, but then a share of 0.
    np.subtract(steps[1:], steps[:-1], out=steps[:-1])
    # In the mode "raise", take would write into a copy first.
    np.take(steps, index, axis=0, out=change, mode='clip')
    change *= share[:, None]
    change += HALF
    change >>= BITS
    np.take(rows, index, axis=0, out=out, mode='clip')
    out += change.astype(np.uint8)  # modulo 256, so that -1 is 255

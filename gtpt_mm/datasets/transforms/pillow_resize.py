"""Pillow's bilinear resize, the same pixels in less time."""

# n, m sides of an image along an axis before and after

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import cv2
import mmcv
import numpy as np
from PIL import Image

#: Pillow computes with weights of 22 bits, in whole numbers.
BITS = 22
HALF = 1 << (BITS - 1)
#: Smallest relative change of a 32-bit number with as many bits, and a number
#: below all differences of products that are exact.
NUDGE, TINY = 2.0**-BITS, 2.0**-12
#: Twice what rounding moves a product by, in units of 2 ** -32.
NEAR = 64 << (32 - BITS)
#: Number of plans to keep, one for each pair of heights, 10 to 20 KB each:
#: enough for a training with crops of random size.
NUM_PLANS = 2500
#: Bytes of rows that are enlarged at a time.
CHUNK_BYTES = 1 << 17


def resize_bilinear(
    image: np.ndarray,
    size: tuple[int, int],
    region: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Resize an image as ``mmcv.imresize(..., backend='pillow')`` does.

    Pillow resizes rows, rounds, and then columns. Making columns longer mixes
    two pixels p and q, with a share of q that is the same for a whole row:
    p + round(share * (q - p)). OpenCV computes this for a row at a time, in
    32-bit floating point; :func:`plan_rows` proves for each share that no
    difference of two pixels is rounded differently from Pillow. Without this
    proof, and for smaller heights, Pillow resizes the image.

    Args:
        image: (h, w, 3), uint8.
        size: New size (w, h).
        region: Left, top, width and height of the part of the new image that
            is returned; None: all. Little more than it is computed.

    Returns:
        New image, contiguous in memory.
    """
    left, top, width, height = region or (0, 0, *size)
    plan = None
    if image.ndim == 3 and image.dtype == np.uint8 and size[1] >= len(image):
        plan = plan_rows(len(image), size[1])
    if plan is None:
        image = _resize(image, size)[top : top + height, left : left + width]
        return np.ascontiguousarray(image)
    first = int(plan.first[top])
    last = int(plan.first[top + height - 1])
    image = _resize(image[first : last + 2], (size[0], -1))
    return enlarge_rows(image[:, left : left + width], plan, top, height)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return Pillow's pixels; a height of -1 keeps it."""
    w, h = size[0], len(image) if size[1] == -1 else size[1]
    if (h, w) == image.shape[:2]:
        return image
    image = np.ascontiguousarray(image)
    if image.ndim != 3 or image.dtype != np.uint8:
        return mmcv.imresize(image, (w, h), backend='pillow')
    resample = Image.Resampling.BILINEAR
    return read_pixels(Image.fromarray(image).resize((w, h), resample))


def read_pixels(image: Image.Image) -> np.ndarray:
    """Return an RGB image as an array, (h, w, 3); faster than by bytes.

    Pillow keeps four bytes for a pixel. Versions from 11.2 on show them as an
    Arrow array; of other versions and of images in several blocks of memory
    the array is made of bytes.
    """
    if not hasattr(image, '__arrow_c_array__'):
        return np.asarray(image)
    try:
        _, capsule = image.__arrow_c_array__()
    except ValueError:
        return np.asarray(image)
    address = _GET_POINTER(capsule, b'arrow_array')
    array = ctypes.cast(address, ctypes.POINTER(_ArrowArray)).contents
    pixels = ctypes.cast(
        array.children[0].contents.buffers[1], ctypes.POINTER(ctypes.c_uint8)
    )
    w, h = image.size
    four = np.ctypeslib.as_array(pixels, (h, w, 4))
    return cv2.cvtColor(four, cv2.COLOR_BGRA2BGR)  # only drops the fourth


class _ArrowArray(ctypes.Structure):
    """The structure of Arrow's C interface, as far as it is read."""


_ArrowArray._fields_ = [
    *[
        (name, ctypes.c_int64)
        for name in (
            'length',
            'null_count',
            'offset',
            'n_buffers',
            'n_children',
        )
    ],
    ('buffers', ctypes.POINTER(ctypes.c_void_p)),
    ('children', ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]
_GET_POINTER = ctypes.pythonapi.PyCapsule_GetPointer
_GET_POINTER.restype = ctypes.c_void_p
_GET_POINTER.argtypes = [ctypes.py_object, ctypes.c_char_p]


@dataclass(frozen=True)
class RowPlan:
    """How m rows of a higher image come from those of a lower one.

    Args:
        first: Index of the upper row of each pair, (m,).
        scales: Factors of the differences, where the lower row is the
            brighter one and where it is the darker one, (2, m).
        shifts: What is added before rounding, (2, m).
        differing: Rows with two different factors or shifts.
    """

    first: np.ndarray
    scales: np.ndarray
    shifts: np.ndarray
    differing: np.ndarray


@lru_cache(NUM_PLANS)
def plan_rows(n: int, m: int) -> RowPlan | None:
    """Return how n rows become m, n <= m; None if the proof fails."""
    center = (np.arange(m) + 0.5) * (n / m)
    first = np.maximum((center - 0.5).astype(np.int64), 0)
    distance = first[:, None] + np.arange(2) - center[:, None] + 0.5
    weights = np.maximum(0, 1 - np.abs(distance))
    weights[first + 1 >= n, 1] = 0
    weights *= 1 / weights.sum(1, keepdims=True)
    whole = (0.5 + weights * (1 << BITS)).astype(np.int32)
    if not (whole.sum(1) == 1 << BITS).all():
        return None
    share = whole[:, 1]
    scales = np.tile(share / np.float32(1 << BITS), (2, 1))
    scales, shifts = scales.astype(np.float32), np.zeros((2, m), np.float32)
    doubtful = _find_ties(share)
    for i, up in enumerate((True, False)):
        proved = _prove(share[doubtful], up)
        if proved is None:
            return None
        scales[i, doubtful], shifts[i, doubtful] = proved
    differ = (scales[0] != scales[1]) | (shifts[0] != shifts[1])
    return RowPlan(
        first.astype(np.int16), scales, shifts, np.flatnonzero(differ)
    )


def _find_ties(share: np.ndarray) -> np.ndarray:
    """Return the rows in which some product is nearly a half.

    A product below 256 rounded to 24 bits moves by at most 2 ** -17, which is
    32 in units of 2 ** -22; others cannot become a half.
    """
    spread = share.astype(np.uint32) << (32 - BITS)  # modulo 1: of 32 bits
    products = np.arange(256, dtype=np.uint32) * spread[:, None]
    products += np.uint32(1 << 31)  # a half becomes 0
    near = products + np.uint32(NEAR) < np.uint32(2 * NEAR)
    return np.flatnonzero(near.any(1))


def _prove(
    share: np.ndarray, up: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return scales and shifts with which all 256 differences are right.

    Args:
        share: Weight of the second pixel in units of 2 ** -22.
        up: Whether a half is rounded up, as it is of a positive difference.
    """
    share, inverse = np.unique(share, return_inverse=True)
    difference = np.arange(256, dtype=np.int32)
    right = difference * share[:, None] + (HALF if up else HALF - 1)
    right = (right >> BITS).astype(np.float32)
    exact = (share / np.float32(1 << BITS)).astype(np.float32)
    scales, shifts = np.zeros((2, len(share)), np.float32)
    left = np.arange(len(share))
    tie = TINY if up else -TINY
    for nudge, shift in ((0, 0), (0, tie), (NUDGE, 0), (-NUDGE, 0)):
        scale = exact[left] * np.float32(1 + nudge)
        product = difference.astype(np.float32) * scale[:, None]
        rounded = np.abs(np.rint(product + np.float32(shift)))
        found = (rounded == right[left]).all(1)
        scales[left[found]], shifts[left[found]] = scale[found], shift
        left = left[~found]
        if not len(left):
            return scales[inverse], shifts[inverse]
    return None


def enlarge_rows(
    image: np.ndarray, plan: RowPlan, top: int, height: int
) -> np.ndarray:
    """Return rows of a higher image, (height, w, 3).

    Args:
        image: Rows of the lower image from the first that is needed on,
            (n, w, 3).
        plan: How all rows are made.
        top: Index of the first row that is returned.
        height: Their number.
    """
    w, channels = image.shape[1:]
    rows = np.ascontiguousarray(image).reshape(len(image), -1)
    first = plan.first[top : top + height] - plan.first[top]
    out = np.empty((height, rows.shape[1]), np.uint8)
    # Few rows at a time stay in the caches.
    size = max(1, CHUNK_BYTES // rows.shape[1])
    scratch = np.zeros((2, size + 1, 2, rows.shape[1]), np.uint8)
    for start in range(0, height, size):
        chunk = slice(start, min(start + size, height))
        _enlarge_chunk(
            rows, first[chunk], plan, top + start, out[chunk], scratch
        )
    return out.reshape(height, w, channels)


def _enlarge_chunk(
    rows: np.ndarray,
    first: np.ndarray,
    plan: RowPlan,
    start: int,
    out: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Fill rows of the higher image from ``start`` on."""
    stop = start + len(out)
    rows = rows[first[0] : first[-1] + 2]
    first = first - first[0]
    differences, parts = scratch
    num = len(rows) - 1
    # To the next row, where it is brighter and where it is darker.
    if num:
        cv2.subtract(rows[1:], rows[:-1], differences[:num, 0])
        cv2.subtract(rows[:-1], rows[1:], differences[:num, 1])
    differences[num:] = 0
    sources = list(differences.reshape(len(differences), -1))
    targets = parts.reshape(len(parts), -1)[: len(out)]
    index = first.tolist()
    scales = plan.scales[:, start:stop].tolist()
    shifts = plan.shifts[:, start:stop].tolist()
    for i, target, scale, shift in zip(
        index, targets, scales[0], shifts[0], strict=True
    ):
        cv2.convertScaleAbs(sources[i], target, scale, shift)
    low, high = np.searchsorted(plan.differing, (start, stop))
    for i in (plan.differing[low:high] - start).tolist():
        source = differences[index[i], 1]
        cv2.convertScaleAbs(source, parts[i, 1], scales[1][i], shifts[1][i])
    parts = parts[: len(out)]
    cv2.add(rows[first], parts[:, 0], out)
    cv2.subtract(out, parts[:, 1], out)

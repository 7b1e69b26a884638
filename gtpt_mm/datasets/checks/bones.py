"""Bones that are far longer than the others of their kind.

The length of bone b in instance i is s_i * m_b * exp(e_ib): the size of the
instance, the typical length, and a residual, fitted by alternating medians of
logarithms. In a picture a bone may be arbitrarily short, as it may point at
the viewer, but not long. So the limit is taken from the upper half of the
residuals, and only long bones are a finding.
"""

# N instances, B bones

import numpy as np

from .findings import Finding
from .stack import Stack

#: A statistic needs this many instances with a bone, and bones of an instance.
MIN_INSTANCES, MIN_BONES = 20, 4
#: A bone is an outlier above median + SPREAD * (90th percentile - median) ...
SPREAD = 4.0
#: ... and if it has this many times the length that the others predict.
FACTOR = 2.5


def measure_bones(stack: Stack, trusted: np.ndarray) -> np.ndarray:
    """Return log(length / expected length) of bones, NaN if unknown, (N, B).

    Args:
        stack: The instances.
        trusted: Keypoints that count, (N, K).
    """
    ends = np.array(stack.links, int).reshape(-1, 2)
    a, b = stack.points[:, ends[:, 0]], stack.points[:, ends[:, 1]]
    length = np.linalg.norm(a - b, axis=-1)
    known = trusted[:, ends[:, 0]] & trusted[:, ends[:, 1]] & (length > 0)
    known &= known.sum(0) >= MIN_INSTANCES
    known &= known.sum(1, keepdims=True) >= MIN_BONES
    rest = np.where(known, np.log(np.maximum(length, 1e-6)), np.nan)
    for _ in range(5 if rest.size else 0):
        for axis in (0, 1):
            rest -= _median(rest, axis)
    return rest


def check_bones(stack: Stack, trusted: np.ndarray) -> list[Finding]:
    """Find bones that are too long."""
    rest = measure_bones(stack, trusted)
    if not np.isfinite(rest).any():
        return []
    high = np.nan_to_num(_quantile(rest, 0.9)) * SPREAD
    limit = np.maximum(high, np.log(FACTOR))
    found = []
    for row in np.flatnonzero((rest > limit).any(1)).tolist():
        bones = np.flatnonzero(rest[row] > limit)
        worst = bones[rest[row, bones].argmax()]
        ends = stack.links[worst]
        factor = float(np.exp(rest[row, worst]))
        text = f'{stack.name(ends)}: {factor:.1f} times as long as expected'
        if len(bones) > 1:
            text += f', and {len(bones) - 1} more'
        all_ends = {k for bone in bones for k in stack.links[bone]}
        keypoints = tuple(sorted(all_ends))
        found.append(stack.finding('bone', row, text, keypoints, factor))
    return found


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the median without NaN; 0 where there is none."""
    known = np.isfinite(values)
    some = np.where(known.any(axis, keepdims=True), values, 0.0)
    return np.nanmedian(some, axis=axis, keepdims=True)


def _quantile(values: np.ndarray, part: float) -> np.ndarray:
    some = np.where(np.isfinite(values).any(0), values, 0.0)
    return np.nanquantile(some, part, axis=0)

"""One rule for the box of an instance whose source has none."""

import numpy as np

from .keypoint_set import Instance, Picture

#: Margin around the labelled keypoints: a part of the longer side, and pixels.
MARGIN, LEAST = 0.08, 8.0


def find_box(
    instance: Instance, picture: Picture
) -> tuple[float, float, float, float] | None:
    """Return the box (x1, y1, x2, y2) of an instance.

    It is the box of the source or, without one, the extent of the labelled
    keypoints and 8 % of its longer side, at least 8 pixels, on each side,
    clipped to the picture.

    Returns:
        The box, or None without a box and a labelled keypoint.
    """
    if instance.bbox is not None:
        return instance.bbox
    points = instance.keypoints[instance.visible > 0]
    if not len(points):
        return None
    low, high = points.min(0), points.max(0)
    margin = max(MARGIN * float((high - low).max()), LEAST)
    size = np.array((picture.width, picture.height), dtype=float)
    x1, y1 = np.clip(low - margin, 0, size).tolist()
    x2, y2 = np.clip(high + margin, 0, size).tolist()
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def contains(
    bbox: tuple[float, float, float, float], points: np.ndarray
) -> bool:
    """Return whether all points (N, 2) lie in a box, to within a pixel."""
    x1, y1, x2, y2 = bbox
    low, high = np.array((x1, y1)) - 1, np.array((x2, y2)) + 1
    return bool(((points >= low) & (points <= high)).all())

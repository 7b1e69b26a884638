"""Boxes, keypoints, areas and flags of annotations."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .findings import Findings, name

#: Largest number in pixels, or square pixels for areas: no image is larger.
LIMIT = 1e6
LIMITS = dict(area=LIMIT**2)
#: Area of a person as a part of the box, as mmpose's datasets estimate it.
AREA_OF_BOX = 0.53


def mend_numbers(
    content: dict, key: str, length: int, findings: Findings
) -> None:
    """Require that a field is absent or holds finite numbers.

    Args:
        content: Content of the file, changed in place.
        key: ``bbox``, ``keypoints`` or ``area``.
        length: Required number of values; 0 for any multiple of three.
        findings: Receives repairs and mistakes.
    """
    rows = []
    for annotation in content.get('annotations', []):
        value = annotation.get(key)
        if value is None or (length != 1 and _is_empty(value)):
            annotation.pop(key, None)
        else:
            rows.append(annotation)
    for group in _by_length(rows, key):
        values = _array(group, key)
        if values is None:
            _mend_one_by_one(group, key, length, findings)
            continue
        num = values.shape[1]
        if (length and num != length) or (not length and num % 3):
            findings.error(_length_error(key, length), *_lengths(group, key))
            continue
        bad = ~(np.abs(values) <= LIMITS.get(key, LIMIT)).all(1)
        _refuse(group, bad, key, findings)
        if key == 'keypoints':
            _mend_visibility(group, values[:, 2::3], findings)
        elif key == 'area':
            _leave_out_areas(group, values[:, 0], findings)


def _array(group: list[dict], key: str) -> np.ndarray | None:
    """Return the numbers of a field, one row each; None if not numeric."""
    try:
        values = np.array([annotation[key] for annotation in group])
    except ValueError:  # some are lists
        return None
    if values.dtype.kind not in 'iuf':
        return None
    return values.reshape(len(group), -1)


def _is_empty(value: Any) -> bool:
    return isinstance(value, (list, tuple, str)) and not value


def _by_length(annotations: list[dict], key: str) -> Iterable[list[dict]]:
    """Group annotations by the length of a field, -1 for a number."""
    groups: dict[Any, list[dict]] = {}
    for annotation in annotations:
        value = annotation[key]
        size: Any = len(value) if isinstance(value, list) else -1
        if size > 0 and isinstance(value[0], list):
            size = (size, str([np.shape(v) for v in value]))
        groups.setdefault(size, []).append(annotation)
    return groups.values()


def _mend_one_by_one(
    group: list[dict], key: str, length: int, findings: Findings
) -> None:
    """Convert strings to numbers, one annotation at a time."""
    for annotation in group:
        try:
            numbers = np.array(annotation[key], dtype=float).reshape(-1)
        except (ValueError, TypeError):
            findings.error(
                f'{key} does not hold numbers alone',
                f'{str(annotation[key])[:60]} of {name(annotation)}',
            )
            continue
        if (length and len(numbers) != length) or len(numbers) % 3 > length:
            findings.error(
                _length_error(key, length), *_lengths([annotation], key)
            )
            continue
        if not (np.abs(numbers) <= LIMITS.get(key, LIMIT)).all():
            _refuse([annotation], np.array([True]), key, findings)
            continue
        mended = numbers.tolist() if length != 1 else float(numbers[0])
        if annotation[key] != mended:
            annotation[key] = mended
            findings.mended[f'{key} given as text'] += 1
        if key == 'keypoints':
            _mend_visibility([annotation], numbers[None, 2::3], findings)
        elif key == 'area':
            _leave_out_areas([annotation], numbers, findings)


def _length_error(key: str, length: int) -> str:
    if length == 1:
        return f'{key} must be one number'
    rule = '4 numbers, x, y, w, h' if length else 'x, y, v of each keypoint'
    return f'{key} must be {rule}'


def _lengths(group: list[dict], key: str) -> list[str]:
    return [f'{np.size(a[key])} numbers in {name(a)}' for a in group]


def _refuse(
    group: list[dict], bad: np.ndarray, key: str, findings: Findings
) -> None:
    """Note numbers that are not finite or far outside any image."""
    limit = LIMITS.get(key, LIMIT)
    for index in np.flatnonzero(bad):
        numbers = np.array(group[index][key], dtype=float).reshape(-1)
        worst = numbers[~(np.abs(numbers) <= limit)][0]
        findings.error(
            f'{key} holds numbers that are not finite or beyond {limit:g}',
            f'{worst:g} in {name(group[index])}',
        )


def _mend_visibility(
    group: list[dict], visible: np.ndarray, findings: Findings
) -> None:
    """Set flags above 2 to visible (2), negative ones to not labelled (0)."""
    bad = ((visible < 0) | (visible > 2)).any(1)
    for index in np.flatnonzero(bad):
        numbers = np.array(group[index]['keypoints'], dtype=float)
        points = numbers.reshape(-1, 3)
        points[:, 2] = points[:, 2].clip(0, 2)
        group[index]['keypoints'] = points.reshape(-1).tolist()
        findings.mended['people with a visibility outside 0..2'] += 1


def _leave_out_areas(
    group: list[dict], areas: np.ndarray, findings: Findings
) -> None:
    """Drop areas of 0 or less; they are computed from the box."""
    for index in np.flatnonzero(areas <= 0):
        group[index].pop('area', None)
        findings.mended['areas of 0 or less'] += 1


def add_areas(annotations: Iterable[dict]) -> int:
    """Estimate missing areas, and those of 0, from the boxes.

    Datasets do this themselves; the evaluation needs it here.

    Returns:
        The number of areas added.
    """
    num = 0
    for annotation in annotations:
        if not (annotation.get('area') or 0) > 0:
            w, h = annotation['bbox'][2:4]
            annotation['area'] = max(w * h * AREA_OF_BOX, 1.0)
            num += 1
    return num


def mend_flags(content: dict, key: str, findings: Findings) -> None:
    """Require that a field is absent or an integer."""
    for annotation in content.get('annotations', []):
        value = annotation.get(key, 0)
        if type(value) in (int, bool):
            continue
        if value is None:
            del annotation[key]
        elif isinstance(value, str) and value.isdecimal():
            annotation[key] = int(value)
            findings.mended[f'{key} given as text'] += 1
        elif isinstance(value, float) and math.isfinite(value):
            annotation[key] = int(value)
        else:
            findings.error(
                f'{key}={value!r} is not an integer', name(annotation)
            )

"""Boxes that are missing, empty, outside or tiny; duplicate instances."""

import numpy as np

from .findings import Finding
from .stack import Stack

#: Pixels of the longer side below which a label, exact to a pixel or two, is
#: off by more than a tenth of the instance.
TINY = 16.0
#: Two instances are one if all their keypoints agree within this part of the
#: longer side.
SAME = 0.005


def check_boxes(stack: Stack) -> list[Finding]:
    """Find boxes that training cannot use, and tiny ones."""
    found = []
    has_label: np.ndarray = np.asarray(stack.labelled.any(1))
    for row, (x1, y1, x2, y2) in enumerate(stack.boxes.tolist()):
        w, h = stack.sizes[row]
        text = f'{x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f}'
        longer = max(x2 - x1, y2 - y1)
        if not has_label[row]:
            found.append(stack.finding('no-keypoint', row, f'box {text}'))
        elif np.isnan(x1):
            found.append(stack.finding('no-box', row, ''))
        elif min(x2 - x1, y2 - y1) <= 0:
            found.append(stack.finding('empty-box', row, f'{text} is empty'))
        elif x1 >= w or y1 >= h or x2 <= 0 or y2 <= 0:
            text += f' lies outside {w} x {h}'
            found.append(stack.finding('empty-box', row, text))
        elif longer < TINY:
            text = f'{x2 - x1:.0f} x {y2 - y1:.0f} px'
            bad = TINY / longer
            found.append(stack.finding('tiny-box', row, text, (), bad))
    return found


def check_copies(stack: Stack) -> list[Finding]:
    """Find instances of one picture with the same keypoints."""
    rows: dict[int, list[int]] = {}
    for row, (picture, _) in enumerate(stack.owners):
        rows.setdefault(id(picture), []).append(row)
    labelled = stack.labelled
    found = []
    for same in rows.values():
        for i, row in enumerate(same):
            for other in same[:i]:
                both = labelled[row] & labelled[other]
                off = np.abs(stack.points[row] - stack.points[other])[both]
                first = stack.owners[other][1].id
                limit = SAME * stack.sides[row]
                if both.sum() > 1 and off.max() <= limit:
                    text = f'as annotation {first}'
                    found.append(stack.finding('same-instance', row, text))
                    break
    return found

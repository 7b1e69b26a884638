"""Labels of the whole set: keypoints and classes that are never used."""

from ..exchange import KeypointSet
from .findings import Finding
from .stack import Stack

CLASSES = {0: 'not labelled', 1: 'hidden', 2: 'seen'}


def check_labels(stack: Stack) -> list[Finding]:
    """Find keypoints and classes of visibility that are never used."""
    found = []
    splits = [picture.split for picture, _ in stack.owners]
    for split in dict.fromkeys(splits):
        here = [s == split for s in splits]
        num = sum(here)
        never = ~stack.labelled[here].any(0)
        for k in never.nonzero()[0].tolist():
            text = f'{stack.names[k]}, in {num:,} instances'
            found.append(Finding('never-labelled', text, split))
    if len(stack):
        used = set(stack.visible[stack.labelled.any(1)].ravel().tolist())
        found += [
            Finding('visibility', f'{value} ({text})')
            for value, text in CLASSES.items()
            if used and value not in used
        ]
    return found


def check_pictures(keypoint_set: KeypointSet) -> list[Finding]:
    """Find pictures without annotation."""
    return [
        Finding('no-annotation', '', picture.split, picture.name)
        for picture in keypoint_set.pictures
        if not picture.instances
    ]

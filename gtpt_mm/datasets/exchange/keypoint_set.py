"""An annotated set, independent of its format: pictures and instances."""

# N instances, K keypoints

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Instance:
    """One annotated person, animal or thing.

    Attributes:
        keypoints: Pixels (x, y) of the picture as its tool gives them, never
            shifted by half a pixel, (K, 2); 0 where there is no label.
        visible: 0 not labelled, 1 labelled but hidden, 2 labelled and seen,
            (K,), int.
        bbox: (x1, y1, x2, y2) in pixels; None if the source has no box.
        area: Area of a mask, or None: 'area' of a COCO file that states it.
        id: Identity of the annotation in its tool; '' if it has none.
        track: Name of the individual over the frames of a video; '' if none.
        score: Confidence, if a model predicted it; None for a label.
        keypoint_scores: The same for each keypoint, (K,); None for a label.
        is_crowd: Whether it stands for a crowd, not for an instance.
    """

    keypoints: np.ndarray
    visible: np.ndarray
    bbox: tuple[float, float, float, float] | None = None
    area: float | None = None
    id: str | int = ''
    track: str = ''
    score: float | None = None
    keypoint_scores: np.ndarray | None = None
    is_crowd: bool = False


@dataclass
class Picture:
    """One picture and the instances in it.

    Attributes:
        name: Relative path below the folder of pictures, with '/'.
        width: Pixels.
        height: Pixels.
        path: The file; None if the source names a file that does not exist.
        content: Bytes of the file where the source holds it (SLEAP packages);
            None if it is a file.
        instances: Its instances; may be empty.
        id: Identity in its tool; '' if it has none.
        group: Video, session or animal that must not be in two splits; ''
            if the source has none.
        split: 'train', 'val' or 'test' if the source says so, else ''.
    """

    name: str
    width: int
    height: int
    path: Path | None = None
    content: bytes | None = field(default=None, repr=False)
    instances: list[Instance] = field(default_factory=list)
    id: str | int = ''
    group: str = ''
    split: str = ''


@dataclass
class KeypointSet:
    """All pictures of a source, and the skeleton that they share.

    Attributes:
        names: Names of the K keypoints.
        pictures: Pictures in the order of the source.
        links: Pairs of keypoint names that are joined by a line.
        swap: Names, left to right and right to left, if the source has them
            (``flip_idx`` of YOLO), else None.
        category: Name of the annotated category.
        format: Name of the format, such as 'yolo'.
        dropped: Number of items left out, by a description of the reason.
        notes: What a user should know, such as points that were reordered.
    """

    names: list[str]
    pictures: list[Picture]
    links: list[tuple[str, str]] = field(default_factory=list)
    swap: dict[str, str] | None = None
    category: str = 'instance'
    format: str = ''
    dropped: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

"""What an inferencer reads and returns: frames in, people out."""

# N people, K keypoints

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Frame:
    """One image on its way to the models.

    Attributes:
        image: Pixels, BGR, uint8, (H, W, 3), turned upright by EXIF; None if
            it cannot be read.
        source: Path or URL it comes from, or ``'input 3'`` for an array.
        index: Number of the frame in its video, from 0; None for an image.
        time: Seconds from the beginning of its video.
        error: Why it cannot be read; '' if it can.
    """

    image: np.ndarray | None
    source: str
    index: int | None = None
    time: float | None = None
    error: str = ''


@dataclass(frozen=True)
class Skeleton:
    """Keypoints of a dataset: their names, and how they are drawn.

    Attributes:
        names: Names of the K keypoints.
        links: Pairs of keypoint indices that are joined by a line.
        keypoint_colors: RGB of each keypoint.
        link_colors: RGB of each link.
        flip_pairs: Pairs of left and right indices.
        sigmas: Falloff of OKS for each keypoint; () if unknown.
        dataset: Name of the dataset, such as ``coco``.
    """

    names: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()
    keypoint_colors: tuple[tuple[int, int, int], ...] = ()
    link_colors: tuple[tuple[int, int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    dataset: str = ''

    @classmethod
    def from_metainfo(cls, metainfo: dict) -> 'Skeleton':
        """Return the skeleton of a parsed metainfo of mmpose."""
        names = tuple(
            metainfo['keypoint_id2name'][i]
            for i in range(metainfo['num_keypoints'])
        )
        flip = metainfo.get('flip_indices') or range(len(names))
        return cls(
            names=names,
            links=_as_tuples(metainfo.get('skeleton_links')),
            keypoint_colors=_as_tuples(metainfo.get('keypoint_colors')),
            link_colors=_as_tuples(metainfo.get('skeleton_link_colors')),
            flip_pairs=tuple((a, b) for a, b in enumerate(flip) if a < b),
            sigmas=tuple(float(s) for s in metainfo.get('sigmas', ())),
            dataset=str(metainfo.get('dataset_name', '')),
        )


def _as_tuples(values: Sequence | np.ndarray | None) -> tuple:
    if values is None:
        return ()
    return tuple(tuple(int(v) for v in value) for value in values)


@dataclass
class PoseResult:
    """The people in one image; N may be 0.

    Attributes:
        keypoints: Pixels (x, y) of the image, (N, K, 2).
        scores: Confidence of each keypoint, (N, K); a perfect prediction has
            about 1.
        boxes: (x1, y1, x2, y2) in pixels, (N, 4).
        box_scores: Confidence of each box, (N,).
        ids: Identity of each person over the frames of a video, (N,); None
            without tracking.
        skeleton: Names and links of the keypoints.
        frame: The image that they are in.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    skeleton: Skeleton
    frame: Frame = field(repr=False)
    ids: np.ndarray | None = None

    @classmethod
    def empty(cls, skeleton: Skeleton, frame: Frame) -> 'PoseResult':
        """Return a result without people."""
        num = len(skeleton.names)
        return cls(
            keypoints=np.zeros((0, num, 2), np.float32),
            scores=np.zeros((0, num), np.float32),
            boxes=np.zeros((0, 4), np.float32),
            box_scores=np.zeros(0, np.float32),
            skeleton=skeleton,
            frame=frame,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the keypoints."""
        return self.skeleton.names

    @property
    def error(self) -> str:
        """Why the image could not be read; '' if it could."""
        return self.frame.error

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self.keypoints)

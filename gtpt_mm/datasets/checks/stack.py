"""The instances of a set as arrays."""

# N instances, K keypoints

from dataclasses import dataclass

import numpy as np

from ..exchange import Instance, KeypointSet, Picture
from ..keypoint_names import find_swap_pairs
from .findings import Finding


@dataclass
class Stack:
    """All instances of a set, except crowds.

    Attributes:
        names: Names of the keypoints.
        links: Pairs of indices that are joined.
        pairs: Pairs (left, right) of indices.
        points: Pixels, (N, K, 2).
        visible: 0, 1 or 2, (N, K).
        boxes: (x1, y1, x2, y2), NaN without a box, (N, 4).
        sizes: (w, h) of the picture, (N, 2).
        owners: Picture and instance of each row.
    """

    names: list[str]
    links: list[tuple[int, int]]
    pairs: list[tuple[int, int]]
    points: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    owners: list[tuple[Picture, Instance]]

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.owners)

    @property
    def labelled(self) -> np.ndarray:
        """Whether a keypoint is labelled, (N, K)."""
        return self.visible > 0

    @property
    def sides(self) -> np.ndarray:
        """Longer side of each box, at least 1 pixel, (N,)."""
        extent = self.boxes[:, 2:] - self.boxes[:, :2]
        return np.maximum(extent.max(1, initial=1.0), 1.0)

    def finding(
        self,
        kind: str,
        row: int,
        value: str,
        keypoints: tuple[int, ...] = (),
        badness: float = 1.0,
    ) -> Finding:
        """Return a finding of one instance."""
        picture, instance = self.owners[row]
        return Finding(
            kind,
            value,
            file=picture.split,
            picture=picture.name,
            annotation=instance.id,
            keypoints=keypoints,
            badness=badness,
        )

    def name(self, keypoints: np.ndarray | tuple[int, ...]) -> str:
        """Return the names of keypoints, for a message."""
        return ', '.join(self.names[k] for k in keypoints)


def stack_up(keypoint_set: KeypointSet) -> Stack:
    """Return the instances of a set as arrays."""
    names = keypoint_set.names
    index = {name: k for k, name in enumerate(names)}
    swap = keypoint_set.swap
    if swap is None:
        pairs = find_swap_pairs(names).pairs
    else:
        pairs = [(a, b) for a, b in swap.items() if index[a] < index[b]]
    owners = [
        (picture, instance)
        for picture in keypoint_set.pictures
        for instance in picture.instances
        if not instance.is_crowd
    ]
    shape = (len(owners), len(names))
    none = (np.nan,) * 4
    return Stack(
        names=names,
        links=[(index[a], index[b]) for a, b in keypoint_set.links],
        pairs=[(index[a], index[b]) for a, b in pairs],
        points=np.array([i.keypoints for _, i in owners], float).reshape(
            *shape, 2
        ),
        visible=np.array([i.visible for _, i in owners], int).reshape(shape),
        boxes=np.array([i.bbox or none for _, i in owners], float).reshape(
            -1, 4
        ),
        sizes=np.array([(p.width, p.height) for p, _ in owners]).reshape(
            -1, 2
        ),
        owners=owners,
    )

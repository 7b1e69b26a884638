"""A small set of one's own, as ``gtpt-mm data import`` writes it."""

import json
from pathlib import Path

import cv2
import numpy as np

NAMES = ('head', 'neck', 'left_hand', 'right_hand', 'left_foot', 'right_foot')
LINKS = ((0, 1), (1, 2), (1, 3), (1, 4), (1, 5))
SWAP = dict(
    left_hand='right_hand', right_hand='left_hand',
    left_foot='right_foot', right_foot='left_foot',
)  # fmt: skip
#: Of a figure that stands, in units of its height, around its middle.
POSE = np.array(
    [(0, -0.45), (0, -0.25), (0.3, 0), (-0.3, 0), (0.2, 0.5), (-0.2, 0.5)]
)
SIZE = 96


def draw_figure(rng: np.random.Generator, turn: float = 0.1) -> tuple:
    """Return a picture of a stick figure and its keypoints, (K, 2).

    Args:
        rng: Source of its place, size, pose and angle.
        turn: Largest angle, in half turns.
    """
    angle = rng.uniform(-turn, turn) * np.pi
    c, s = np.cos(angle), np.sin(angle)
    pose = POSE + rng.normal(0, 0.04, POSE.shape)
    points = pose @ np.array([[c, s], [-s, c]]) * rng.uniform(45, 60)
    points += SIZE / 2 + rng.uniform(-6, 6, 2)
    image = np.full((SIZE, SIZE, 3), 235, np.uint8)
    corners = np.round(points).astype(int).tolist()
    colors = [(0, 0, 0), (200, 60, 0), (0, 60, 200), (0, 160, 60), (90, 0, 90)]
    for (a, b), color in zip(LINKS, colors, strict=True):
        cv2.line(image, corners[a], corners[b], color, 3)
    cv2.circle(image, corners[0], 7, (40, 40, 40), -1)
    return image, points


def write_own_set(
    folder: Path,
    num_train: int = 16,
    num_val: int = 6,
    turn: float = 0.1,
    swap: dict[str, str] = SWAP,
) -> Path:
    """Write a set with two splits; return its folder."""
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir(parents=True)
    number = 0
    for split, count in dict(train=num_train, val=num_val).items():
        images, annotations = [], []
        for _ in range(count):
            number += 1
            image, points = draw_figure(rng, turn)
            name = f'{number:03}.jpg'
            cv2.imwrite(str(folder / 'images' / name), image)
            images.append(
                dict(id=number, file_name=name, width=SIZE, height=SIZE)
            )
            annotations.append(_annotate(number, points))
        category = dict(id=1, name='figure', keypoints=NAMES, skeleton=[])
        content = dict(
            images=images, annotations=annotations, categories=[category]
        )
        (folder / f'{split}.json').write_text(json.dumps(content))
    info = make_info(swap)
    (folder / 'metainfo.py').write_text(f'dataset_info = {info!r}\n')
    return folder


def _annotate(number: int, points: np.ndarray) -> dict:
    low, high = points.min(0) - 4, points.max(0) + 4
    visible = np.column_stack((points, np.full(len(points), 2)))
    return dict(
        id=number,
        image_id=number,
        category_id=1,
        iscrowd=0,
        keypoints=visible.round(2).flatten().tolist(),
        num_keypoints=len(points),
        bbox=[*low.tolist(), *(high - low).tolist()],
        area=float(np.prod(high - low)),
    )


def make_info(swap: dict[str, str] = SWAP) -> dict:
    """Return the ``dataset_info`` of mmpose."""
    return dict(
        dataset_name='figure',
        keypoint_info={
            i: dict(
                name=name,
                id=i,
                color=[0, 160, 0],
                type='upper',
                swap=swap.get(name, ''),
            )
            for i, name in enumerate(NAMES)
        },
        skeleton_info={
            i: dict(link=(NAMES[a], NAMES[b]), id=i, color=[0, 160, 0])
            for i, (a, b) in enumerate(LINKS)
        },
        joint_weights=[1.0] * len(NAMES),
        sigmas=[0.08] * len(NAMES),
    )

"""A drawn set of stick people in COCO files, and faults to plant in it."""

import json
from pathlib import Path

import cv2
import numpy as np

NAMES = ['head', 'neck'] + [
    f'{side}_{part}'
    for part in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
    for side in ('left', 'right')
]
LINKS = [
    (0, 1), (1, 2), (1, 3), (2, 4), (4, 6), (3, 5), (5, 7), (2, 8), (3, 9),
    (8, 9), (8, 10), (10, 12), (9, 11), (11, 13),
]  # fmt: skip
WIDTH, HEIGHT = 200, 240


def draw_set(folder: Path, num_train: int = 70, num_val: int = 20) -> None:
    """Write ``train.json``, ``val.json`` and ``images/`` without a fault."""
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir(parents=True)
    number = 0
    for split, num in dict(train=num_train, val=num_val).items():
        images, annotations = [], []
        for _ in range(num):
            number += 1
            points = pose(rng)
            visible = rng.choice([2, 2, 2, 2, 2, 2, 2, 1, 0], len(NAMES))
            name = f'{number:03}.jpg'
            cv2.imwrite(str(folder / 'images' / name), paint(points, rng))
            images.append(
                dict(id=number, file_name=name, width=WIDTH, height=HEIGHT)
            )
            annotations.append(annotate(number, number, points, visible))
        category = dict(
            id=1,
            name='person',
            keypoints=NAMES,
            skeleton=[[a + 1, b + 1] for a, b in LINKS],
        )
        write(folder, split, images, annotations, [category])


def write(
    folder: Path, split: str, images: list, annotations: list, categories: list
) -> None:
    content = dict(
        images=images, annotations=annotations, categories=categories
    )
    (folder / f'{split}.json').write_text(json.dumps(content))


def annotate(
    number: int, image: int, points: np.ndarray, visible: np.ndarray
) -> dict:
    """Return an annotation; its box is the extent of all points and 8 px."""
    low, high = points.min(0) - 8, points.max(0) + 8
    low, high = np.clip(low, 0, None), np.clip(high, 0, (WIDTH, HEIGHT))
    triples = np.column_stack([points.round(1), visible])
    triples[visible == 0] = 0
    return dict(
        id=number,
        image_id=image,
        category_id=1,
        keypoints=triples.reshape(-1).tolist(),
        num_keypoints=int((visible > 0).sum()),
        bbox=[*low.round(1).tolist(), *(high - low).round(1).tolist()],
        area=float(np.prod(high - low)),
        iscrowd=0,
    )


def pose(rng: np.random.Generator) -> np.ndarray:
    """Return a person from the front or, half the time, from behind."""
    side = rng.choice((-1.0, 1.0))
    size = rng.uniform(0.8, 1.1)
    points = np.zeros((len(NAMES), 2))
    points[0], points[1] = (rng.uniform(-4, 4), -58), (0, -40)
    for k, sign in ((0, 1.0), (1, -1.0)):  # left, right
        arm, forearm, thigh, shin = rng.uniform(
            (0.1, 0.1, -0.1, -0.1), (1.2, 1.6, 0.4, 0.3)
        )
        points[2 + k] = sign * 18, -36
        points[8 + k] = sign * 11, 10
        points[4 + k] = points[2 + k] + limb(26, arm, sign)
        points[6 + k] = points[4 + k] + limb(24, forearm, sign)
        points[10 + k] = points[8 + k] + limb(32, thigh, sign)
        points[12 + k] = points[10 + k] + limb(30, shin, sign)
    points *= size * np.array((side, 1.0))
    angle = rng.uniform(-0.15, 0.15)
    turn = np.array(
        ((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle)))
    )
    return points @ turn + (WIDTH / 2 + rng.uniform(-10, 10), HEIGHT / 2)


def limb(length: float, angle: float, sign: float) -> np.ndarray:
    """Return an offset that hangs down at angle 0 and points outwards."""
    return length * np.array((sign * np.sin(angle), np.cos(angle)))


def paint(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture with a background of its own."""
    noise = rng.integers(0, 255, (6, 5, 3), np.uint8)
    image = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for a, b in LINKS:
        ends = (tuple(map(int, points[k])) for k in (a, b))
        cv2.line(image, *ends, (20, 20, 20), 5)
    return image


class Faults:
    """Plant faults in the files of a drawn set.

    Args:
        folder: Of :func:`draw_set`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content = {
            split: json.loads((folder / f'{split}.json').read_text())
            for split in ('train', 'val')
        }

    def annotation(self, number: int) -> dict:
        """Return an annotation of the training split."""
        return self.content['train']['annotations'][number - 1]

    def points(self, number: int) -> np.ndarray:
        """Return its keypoints (x, y, v), all labelled, (K, 3)."""
        annotation = self.annotation(number)
        rng = np.random.default_rng(number)
        clean = annotate(number, number, pose(rng), np.full(len(NAMES), 2))
        annotation.update(clean)
        return np.array(annotation['keypoints']).reshape(-1, 3)

    def set_points(self, number: int, points: np.ndarray) -> None:
        """Write keypoints, and their number."""
        annotation = self.annotation(number)
        annotation['keypoints'] = points.reshape(-1).tolist()
        annotation['num_keypoints'] = int((points[:, 2] > 0).sum())

    def add_picture(self, split: str, number: int, image: bytes) -> None:
        """Add a picture with a person of its own."""
        name = f'{number}.jpg'
        (self.folder / 'images' / name).write_bytes(image)
        content = self.content[split]
        content['images'].append(
            dict(id=number, file_name=name, width=WIDTH, height=HEIGHT)
        )
        points = pose(np.random.default_rng(number))
        visible = np.full(len(NAMES), 2)
        content['annotations'].append(
            annotate(number, number, points, visible)
        )

    def write(self) -> None:
        """Write the files."""
        for split, content in self.content.items():
            write(self.folder, split, *content.values())

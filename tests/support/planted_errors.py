"""Perfect predictions, and errors planted in them."""

import copy

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

#: Where the keypoints of COCO are in a box of 200 x 400, (17, 2): both sides
#: are far apart, even for the wide hips.
POSE = np.array([
    [100, 20], [130, 10], [70, 10], [160, 15], [40, 15], [170, 90], [30, 90],
    [190, 160], [10, 160], [195, 220], [5, 220], [165, 230], [35, 230],
    [175, 310], [25, 310], [180, 390], [20, 390],
])  # fmt: skip
BOX = np.array([200, 400])
AREA = 0.5 * BOX.prod()
#: From one instance to the next; farther than any error reaches.
STEP = 600


def coco_metainfo() -> dict:
    """Return the parsed metainfo of COCO."""
    return parse_pose_metainfo(DATASETS.get('CocoDataset').METAINFO)


class PlantedSet:
    """Annotations of images with three instances, and perfect results.

    Attributes:
        truth: Annotations in COCO's format.
        results: Results, the n-th of the n-th annotation; scores fall from
            0.9 by 0.001.
        metainfo: That of COCO.
    """

    def __init__(self, images: int = 8, each: int = 3) -> None:
        self.metainfo = coco_metainfo()
        self.sigmas = np.array(self.metainfo['sigmas'])
        self.truth: dict = dict(
            images=[
                dict(
                    id=i + 1, width=STEP * each, height=500,
                    file_name=f'{i + 1}.jpg',
                )
                for i in range(images)
            ],
            annotations=[],
            categories=[dict(id=1, name='person')],
        )  # fmt: skip
        self.results: list[dict] = []
        for image in range(1, images + 1):
            for person in range(each):
                self._add(image, np.array([50 + person * STEP, 50]))

    def _add(self, image: int, corner: np.ndarray) -> None:
        number = len(self.truth['annotations'])
        common = dict(image_id=image, category_id=1)
        points = np.column_stack([POSE + corner, np.full(17, 2)])
        self.truth['annotations'].append(
            common
            | dict(
                id=number + 1, iscrowd=0, num_keypoints=17, area=AREA,
                bbox=[*corner.tolist(), *BOX.tolist()],
                keypoints=points.ravel().tolist(),
            )
        )  # fmt: skip
        found = points.astype(float)
        found[:, 2] = 0.8
        entry = dict(
            keypoints=found.ravel().tolist(), score=0.9 - 0.001 * number
        )
        self.results.append(common | entry)

    def distance(self, keypoint: int, similarity: float) -> float:
        """Return the distance in pixels that has a similarity."""
        sigma = self.sigmas[keypoint]
        return 2 * sigma * np.sqrt(-2 * np.log(similarity) * AREA)

    def point(self, number: int, keypoint: int) -> np.ndarray:
        """Return where a keypoint is annotated, (2,)."""
        values = self.truth['annotations'][number]['keypoints']
        return np.array(values[3 * keypoint : 3 * keypoint + 2], float)

    def predicted(self, number: int, keypoint: int) -> np.ndarray:
        """Return where a keypoint is predicted, (2,)."""
        values = self.results[number]['keypoints']
        return np.array(values[3 * keypoint : 3 * keypoint + 2], float)

    def move(self, number: int, keypoint: int, point: np.ndarray) -> None:
        """Move a predicted keypoint."""
        values = self.results[number]['keypoints']
        values[3 * keypoint : 3 * keypoint + 2] = np.asarray(point).tolist()

    def shift(self, number: int, keypoint: int, similarity: float) -> None:
        """Move a predicted keypoint up, to a similarity with its own."""
        up = np.array([0, -self.distance(keypoint, similarity)])
        self.move(number, keypoint, self.point(number, keypoint) + up)

    def invert(self, number: int, keypoint: int, similarity: float) -> None:
        """Move a predicted keypoint to a similarity with the other side."""
        other = self.metainfo['flip_indices'][keypoint]
        down = np.array([0, self.distance(keypoint, similarity)])
        self.move(number, keypoint, self.point(number, other) + down)

    def swap(
        self, number: int, other: int, keypoint: int, similarity: float
    ) -> None:
        """Move a predicted keypoint to a similarity with another's."""
        down = np.array([0, self.distance(keypoint, similarity)])
        self.move(number, keypoint, self.point(other, keypoint) + down)

    def add_prediction(
        self, number: int, score: float, offset: tuple[float, float]
    ) -> None:
        """Predict an instance again, elsewhere."""
        found = copy.deepcopy(self.results[number]) | dict(score=score)
        points = np.array(found['keypoints']).reshape(-1, 3)
        points[:, :2] += offset
        found['keypoints'] = points.ravel().tolist()
        self.results.append(found)

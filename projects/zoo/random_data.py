"""Random data for a stock config: its own dataset classes and pipelines.

A config's dataset keeps its class, pipeline and metainfo; only the files are
replaced. Datasets of images get random images with random people; those of
sequences get files with random numbers.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import pseudo_collate

import gtpt_mm  # noqa: F401  (repairs what mmpose needs)

from mmpose.registry import DATASETS  # isort: skip

#: Images of a dataset; a mosaic takes four of them.
NUM_IMAGES = 8
#: Size (w, h) of the images in pixels.
IMAGE_SIZE = (320, 240)
#: Instances in an image for bottom-up models.
NUM_INSTANCES = 3
#: Frames of a random sequence; the longest receptive field is 243.
NUM_FRAMES = 300
SEQUENCES = ('Human36mDataset',)
HANDS = ('InterHand3DDataset',)
#: Datasets that check when they are created whether their files exist.
INTERHAND = (*HANDS, 'InterHand2DDoubleDataset')
CAMERA = 'S1_Walking_1.54138969'


class RandomImages:
    """First base of an image dataset: creates random instances.

    The second base is the dataset class of the config; its annotations are
    not read.
    """

    def load_data_list(self) -> list[dict]:
        """Return random people, one or several to an image."""
        rng = np.random.default_rng(0)
        width, height = IMAGE_SIZE
        per_image = NUM_INSTANCES if self.data_mode == 'bottomup' else 1
        images = [
            dict(
                img_id=i, img_path=f'{i}.jpg', width=width, height=height, id=i
            )
            for i in range(1, NUM_IMAGES + 1)
        ]
        instances = [
            self.make_instance(rng, image, len(images) * j + image['id'])
            for image in images
            for j in range(per_image)
        ]
        if self.data_mode == 'topdown':
            return self._get_topdown_data_infos(instances)
        return self._get_bottomup_data_infos(instances, images)

    def make_instance(
        self, rng: np.random.Generator, image: dict, number: int
    ) -> dict:
        """Return an instance as the stock datasets parse it."""
        num_keypoints = self.metainfo['num_keypoints']
        size = np.array(IMAGE_SIZE, dtype=np.float32)
        low = rng.uniform(0.05, 0.2, 2) * size
        high = rng.uniform(0.7, 0.95, 2) * size
        points = rng.uniform(low, high, (1, num_keypoints, 2))
        box = np.concatenate([low, high])[None].astype(np.float32)
        x, y, w, h = *low, *(high - low)
        return dict(
            img_id=image['img_id'],
            img_path=image['img_path'],
            bbox=box,
            bbox_score=np.ones(1, dtype=np.float32),
            num_keypoints=num_keypoints,
            keypoints=points.astype(np.float32),
            keypoints_visible=np.ones((1, num_keypoints), dtype=np.float32),
            area=np.array(0.5 * w * h, dtype=np.float32),
            iscrowd=0,
            segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
            id=number,
            category_id=np.array(1),
            **self.more_fields(rng, num_keypoints),
        )

    def more_fields(
        self, rng: np.random.Generator, num_keypoints: int
    ) -> dict[str, Any]:
        """Return fields that only some datasets have; none by default."""
        return {}

    def get_data_info(self, idx: int) -> dict:
        """Return the instance with an image of noise."""
        info = super().get_data_info(idx)
        shape = (*IMAGE_SIZE[::-1], 3)
        rng = np.random.default_rng(idx)
        info['img'] = rng.integers(0, 256, shape, dtype=np.uint8)
        return info


class RandomHands(RandomImages):
    """Hands in three dimensions, as InterHand2.6M has them."""

    def more_fields(
        self, rng: np.random.Generator, num_keypoints: int
    ) -> dict[str, Any]:
        """Return depths, the camera and which hands are in the image."""
        depth = rng.uniform(-100, 100, (1, num_keypoints, 1))
        flat = rng.uniform(0, 200, (1, num_keypoints, 2))
        return dict(
            rotation=0,
            keypoints=np.concatenate([flat, depth], -1).astype(np.float32),
            keypoints_cam=rng.uniform(0, 1000, (1, num_keypoints, 3)).astype(
                np.float32
            ),
            hand_type=np.array([[1, 1]], dtype=np.float32),
            hand_type_valid=np.array([1]),
            rel_root_depth=np.float32(10),
            rel_root_valid=np.float32(1),
            abs_depth=[np.float32(900), np.float32(910)],
            focal=np.array([1200, 1200], dtype=np.float32),
            principal_pt=np.array([160, 120], dtype=np.float32),
        )

    def make_instance(
        self, rng: np.random.Generator, image: dict, number: int
    ) -> dict:
        """Return an instance; its own keypoints replace the flat ones."""
        more = self.more_fields(rng, self.metainfo['num_keypoints'])
        self.more_fields = lambda *_: {}
        try:
            return super().make_instance(rng, image, number) | more
        finally:
            del self.more_fields


def make_batch(dataset: dict, number: int, folder: Path) -> dict:
    """Return a collated batch of a config's dataset, on random data.

    Args:
        dataset: The ``dataset`` of a data loader in a config; unchanged.
        number: Samples of the batch.
        folder: An empty folder for files, if the dataset reads any.
    """
    built = DATASETS.build(replace_files(dict(dataset), folder))
    step = max(len(built) // number, 1)
    return pseudo_collate([built[i * step] for i in range(number)])


def replace_files(dataset: dict, folder: Path) -> dict:
    """Return the config of a dataset with random data in place of files.

    Args:
        dataset: Config of a dataset, or of several that are combined.
        folder: Folder to write to.
    """
    dataset = dict(dataset)
    if 'datasets' in dataset:
        dataset['datasets'] = [
            replace_files(part, folder) for part in dataset['datasets']
        ]
        return dataset
    if 'dataset' in dataset:  # one that is repeated
        dataset['dataset'] = replace_files(dataset['dataset'], folder)
        return dataset
    name = dataset['type']
    if name in SEQUENCES:
        return dataset | write_sequences(dataset, folder)
    dataset['type'] = random_class(name)
    for key in ('bbox_file', 'filter_cfg', 'sample_interval', 'indices'):
        dataset.pop(key, None)
    if name in INTERHAND:
        for key in ('ann_file', 'camera_param_file', 'joint_file'):
            dataset[key] = str(folder / f'{key}.json')
            Path(dataset[key]).write_text(json.dumps({}))
        dataset['use_gt_root_depth'] = True
        dataset['rootnet_result_file'] = None
    return dataset


def random_class(name: str) -> type:
    """Return the dataset class of that name with random instances."""
    stock = DATASETS.get(name)
    if stock is None:
        raise KeyError(f'mmpose has no dataset {name}')
    base = RandomHands if name in HANDS else RandomImages
    return type(f'Random{stock.__name__}', (base, stock), {})


def write_sequences(dataset: dict, folder: Path) -> dict[str, Any]:
    """Write the files of Human3.6M, with random numbers.

    Args:
        dataset: The config; tells which files it reads.
        folder: Folder to write to.

    Returns:
        The keys of the config that name the files.
    """
    rng = np.random.default_rng(0)
    points = rng.uniform(200, 800, (NUM_FRAMES, 17, 2))
    ones = np.ones((NUM_FRAMES, 17, 1))
    body = rng.uniform(-1, 1, (NUM_FRAMES, 17, 3))
    np.savez(
        folder / 'poses.npz',
        imgname=np.array([f'{CAMERA}_{i:06d}.jpg' for i in range(NUM_FRAMES)]),
        center=np.full((NUM_FRAMES, 2), 500.0),
        scale=np.full(NUM_FRAMES, 3.0),
        part=np.concatenate([points, ones], -1),
        S=np.concatenate([body, ones], -1),
    )
    keys: dict[str, Any] = dict(
        data_root=str(folder), ann_file='poses.npz', data_prefix=dict(img='')
    )
    if dataset.get('camera_param_file'):
        camera = dict(
            R=np.eye(3),
            T=np.array([[0.0], [0.0], [5.0]]),
            c=np.array([[512.0], [515.0]]),
            f=np.array([[1145.0], [1143.0]]),
            k=np.zeros((3, 1)),
            p=np.zeros((2, 1)),
            w=1000,
            h=1002,
        )
        with open(folder / 'cameras.pkl', 'wb') as file:
            pickle.dump({('S1', CAMERA.partition('.')[2]): camera}, file)
        keys['camera_param_file'] = 'cameras.pkl'
    if dataset.get('keypoint_2d_det_file'):
        np.save(folder / 'detections.npy', np.concatenate([points, ones], -1))
        keys['keypoint_2d_det_file'] = 'detections.npy'
    if dataset.get('factor_file'):
        np.save(folder / 'factors.npy', np.ones(NUM_FRAMES))
        keys['factor_file'] = 'factors.npy'
    return keys

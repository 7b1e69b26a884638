"""AP of an exported file beside that of torch, on annotated pictures."""

# P crops of annotated boxes, K keypoints

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor

from gtpt_mm.deploy.metadata import ModelMetadata
from gtpt_mm.deploy.verify import Poses, Reference, find_poses, open_file

from .analysis import analyze_results, check_truth, read_json
from .topdown import make_cropper

#: Batch size of the crops.
BATCH = 8


@dataclass
class AnnotatedCrops:
    """Crops of the boxes of a COCO file.

    Attributes:
        truth: Content of the file.
        annotations: Annotations with a box and labels, without crowds.
        crops: Normalised crops of their boxes, (P, 3, h, w).
        centers: Centers of the crops, in pixels of the picture, (P, 2).
        scales: Sizes (w, h) of the crops in pixels of the picture, (P, 2).
    """

    truth: dict
    annotations: list[dict]
    crops: Tensor
    centers: np.ndarray
    scales: np.ndarray


def read_annotated(
    model: BasePoseEstimator,
    file: str | os.PathLike,
    pictures: str | os.PathLike | None,
) -> AnnotatedCrops:
    """Return the crops of a COCO file of keypoints.

    Args:
        model: A top-down model with ``cfg`` and ``dataset_meta``.
        file: The file.
        pictures: Folder that the names of its pictures are relative to; None:
            that of the file.

    Raises:
        ValueError: If the model takes no boxes, or a picture is missing.
    """
    if not isinstance(model, TopdownPoseEstimator):
        raise ValueError('AP is measured of models that take annotated boxes')
    truth = read_json(os.fspath(file))
    check_truth(truth, file)
    try:
        annotations, files = _select(truth)
        boxes = np.array([a['bbox'] for a in annotations], np.float32)
        boxes = boxes.reshape(len(annotations), 4)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f'{file} is not a complete COCO keypoint file '
            f'({type(error).__name__}: {error}); check it with `gtpt-mm data '
            'check`'
        ) from error
    if not annotations:
        raise ValueError(f'{file} has no annotation with a box and labels')
    folder = Path(pictures) if pictures else Path(file).parent
    images = {name: _read(folder / name) for name in dict.fromkeys(files)}
    boxes[:, 2:] += boxes[:, :2]
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    crops, samples = make_cropper(pipeline, model.dataset_meta)(
        [images[name] for name in files],
        boxes,
        np.ones(len(boxes), np.float32),
    )
    data = model.data_preprocessor(dict(inputs=crops, data_samples=samples))
    return AnnotatedCrops(
        truth=truth,
        annotations=annotations,
        crops=data['inputs'].float(),
        centers=np.array([s.metainfo['input_center'] for s in samples]),
        scales=np.array([s.metainfo['input_scale'] for s in samples]),
    )


def _select(truth: dict) -> tuple[list[dict], list[str]]:
    """Return annotations with a box and labels, and their pictures' names."""
    names = {image['id']: image['file_name'] for image in truth['images']}
    annotations = [
        a
        for a in truth['annotations']
        if a.get('bbox') and any(a['keypoints'][2::3]) and not a.get('iscrowd')
    ]
    return annotations, [names[a['image_id']] for a in annotations]


def _read(file: Path) -> np.ndarray:
    """Return a picture, BGR, as training reads it."""
    image = cv2.imread(str(file)) if file.is_file() else None
    if image is None:
        raise ValueError(f'{file} is missing or not a picture')
    return image


def compare_ap(
    model: BasePoseEstimator,
    file: Path,
    metadata: ModelMetadata,
    annotated: AnnotatedCrops,
) -> tuple[float, float]:
    """Return the AP of torch and of a file."""
    reference = Reference(model, metadata.flip_test)
    network = open_file(file, metadata)
    size = len(annotated.crops)
    step = BATCH if metadata.batch == 'dynamic' else int(metadata.batch)
    expected: Poses = []
    found: Poses = []
    with torch.inference_mode():
        for start in range(0, size, step):
            index = torch.arange(start, start + step) % size
            index = index[: size - start] if step == BATCH else index
            images = annotated.crops[index]
            expected += reference.predict(images)
            found += find_poses(reference, network, metadata, images)
    values = [
        _measure(model, metadata, annotated, poses[:size])
        for poses in (expected, found)
    ]
    return values[0], values[1]


def _measure(
    model: BasePoseEstimator,
    metadata: ModelMetadata,
    annotated: AnnotatedCrops,
    poses: Poses,
) -> float:
    """Return the AP of poses in pixels of the crops."""
    assert metadata.input_size is not None
    results = []
    for i, (keypoints, scores) in enumerate(poses):
        scale, center = annotated.scales[i], annotated.centers[i]
        points = keypoints[0] / metadata.input_size * scale
        points = points + center - 0.5 * scale
        triples = np.column_stack([points, scores[0]])
        annotation = annotated.annotations[i]
        results.append(
            dict(
                image_id=annotation['image_id'],
                category_id=annotation['category_id'],
                keypoints=triples.ravel().tolist(),
                score=float(scores[0].mean()),
            )
        )
    return analyze_results(annotated.truth, results, model.dataset_meta).ap

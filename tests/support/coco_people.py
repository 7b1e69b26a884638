"""Drawn annotations and detections in COCO's format."""

import copy
import json
from pathlib import Path

import numpy as np

from gtpt_mm.ops.coco_evaluation import KEYPOINT_KINDS

KEYS = KEYPOINT_KINDS['keypoints_wholebody'][0]


def draw(
    seed: int, num_images: int = 6, num_keypoints: int = 5, crowded: int = 5
) -> tuple[dict, list]:
    """Return annotations and results with all that is rare.

    Crowds, invisible and ignored instances, equal scores, duplicate
    detections, empty images, several categories, integer coordinates.
    """
    rng = np.random.default_rng(seed)
    ids = rng.choice(1000, num_images, replace=False).tolist()
    images = [
        dict(
            id=i,
            width=640,
            height=480,
            file_name=f'{i}.jpg',
            crowdIndex=float(rng.choice([0.1, 0.2, 0.5, 0.8, 0.9])),
        )
        for i in ids
    ]
    categories = [dict(id=i, name=str(i)) for i in (1, 4)]
    labels = dict(images=images, annotations=[], categories=categories)
    results: list[dict] = []
    for image in ids:
        for _ in range(rng.integers(0, crowded)):
            number = len(labels['annotations'])
            person = draw_person(rng, num_keypoints)
            person |= dict(id=number, image_id=image)
            labels['annotations'].append(person)
            for _ in range(rng.choice([0, 1, 1, 2])):
                results.append(disturb(rng, person))
        if rng.random() < 0.5:
            stray = draw_person(rng, num_keypoints) | dict(image_id=image)
            results.append(disturb(rng, stray))
    order = rng.permutation(len(results))
    return labels, [results[i] for i in order]


def draw_person(rng: np.random.Generator, num_keypoints: int) -> dict:
    size = np.exp(rng.uniform(3, 6, 2))
    corner = rng.uniform(0, 300, 2)
    person: dict = dict(
        category_id=int(rng.choice([1, 1, 1, 4])),
        iscrowd=int(rng.random() < 0.15),
        bbox=[*corner.tolist(), *size.tolist()],
        area=float(size.prod() * rng.uniform(0.3, 1)),
        num_keypoints=int(rng.integers(0, 3)),
    )
    if rng.random() < 0.2:
        person['ignore'] = 1  # no evaluation reads it
    for key in KEYS:
        points = np.zeros((num_keypoints, 3))
        points[:, :2] = corner + size * rng.random((num_keypoints, 2))
        points[:, 2] = rng.choice([0, 1, 2], num_keypoints)
        if rng.random() < 0.2:
            points[:] = 0
        if rng.random() < 0.5:
            points = points.astype(int)
        person[key] = points.flatten().tolist()
    return person


def disturb(rng: np.random.Generator, person: dict) -> dict:
    """Return a detection near a person; some exactly there."""
    scale = np.sqrt(person['area']) * rng.choice([0, 0.02, 0.1, 0.5])
    found = dict(
        image_id=person['image_id'],
        category_id=person['category_id'],
        score=float(rng.choice([0.25, 0.5, 0.5, rng.random()])),
    )
    for key in KEYS:
        points = np.array(person[key], float).reshape(-1, 3)
        points[:, :2] += scale * rng.normal(size=points[:, :2].shape)
        points[:, 2] = rng.random(len(points)) * (rng.random() < 0.95)
        found[key] = points.flatten().tolist()
        if rng.random() < 0.3:
            name = key.replace('_kpts', '').replace('keypoints', 'wholebody')
            found[f'{name}_score'] = float(rng.random())
    return found


def evaluate(
    coco_class: type,
    eval_class: type,
    labels: dict,
    results: list,
    path: Path,
    *args,
    params=None,
    **options,
):
    """Evaluate copies; return the evaluation as it is after summarize."""
    path.write_text(json.dumps(labels))
    truth = coco_class(str(path))
    found = truth.loadRes(copy.deepcopy(results))
    evaluation = eval_class(truth, found, *args, **options)
    for name, value in (params or {}).items():
        setattr(evaluation.params, name, value)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation

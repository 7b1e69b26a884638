"""Write COCO keypoints."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gtpt_mm.compat.data.annotation_checks import AREA_OF_BOX
from gtpt_mm.compat.files.atomic_file import atomic_write

from .boxes import find_box
from .keypoint_set import Instance, KeypointSet, Picture
from .picture_files import PictureFiles
from .split import SPLITS


def write(keypoint_set: KeypointSet, out: Path, link: bool = False) -> None:
    """Write ``{train,val,test}.json`` or ``annotations.json``, and pictures.

    Args:
        keypoint_set: The set.
        out: Folder that exists.
        link: Whether pictures are linked instead of copied.
    """
    files = PictureFiles(keypoint_set, out / 'images', link)
    splits: Sequence[str] = SPLITS
    if not any(picture.split for picture in keypoint_set.pictures):
        splits = ('',)
    for split in splits:
        pictures = [
            (picture, name)
            for picture, name in files.names()
            if picture.split == split
        ]
        if pictures:
            content = to_coco(keypoint_set, pictures)
            write_json(out / f'{split or "annotations"}.json', content)
    files.write()


def write_json(file: Path, content: dict | list) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(content), encoding='utf-8')


def to_coco(
    keypoint_set: KeypointSet, pictures: list[tuple[Picture, str]]
) -> dict:
    """Return the content of a COCO file.

    Ids are kept where all are different integers; else they are numbered,
    and ``source_id`` holds those of the tool.

    Args:
        keypoint_set: The set.
        pictures: The pictures to write, and the names of their files.
    """
    names = keypoint_set.names
    category = dict(
        id=1,
        name=keypoint_set.category,
        keypoints=names,
        skeleton=[
            [names.index(a) + 1, names.index(b) + 1]
            for a, b in keypoint_set.links
        ],
    )
    image_ids = _integers([picture.id for picture, _ in pictures])
    instances = [i for picture, _ in pictures for i in picture.instances]
    ids = iter(_integers([i.id for i in instances]))
    images, annotations = [], []
    for (picture, name), image_id in zip(pictures, image_ids, strict=True):
        images.append(_image(picture, name, image_id))
        annotations += [
            _annotation(instance, picture, image_id, next(ids))
            for instance in picture.instances
        ]
    return dict(images=images, annotations=annotations, categories=[category])


def _integers(ids: list) -> list[int]:
    """Return the ids if they are different integers, else numbers from 1."""
    if all(type(i) is int for i in ids) and len(set(ids)) == len(ids):
        return ids
    return list(range(1, len(ids) + 1))


def _image(picture: Picture, name: str, image_id: int) -> dict:
    """Return the entry of a picture."""
    entry = dict(
        id=image_id,
        file_name=name,
        width=picture.width,
        height=picture.height,
    )
    if picture.group:
        entry['group'] = picture.group
    return _with_source_id(entry, picture.id)


def _with_source_id(entry: dict, source_id: str | int) -> dict:
    if source_id not in ('', entry['id']):
        entry['source_id'] = source_id
    return entry


def _annotation(
    instance: Instance, picture: Picture, image_id: int, number: int
) -> dict:
    """Return the entry of an instance."""
    visible = instance.visible
    numbers = np.column_stack([instance.keypoints, visible])
    x1, y1, x2, y2 = find_box(instance, picture) or (0.0, 0.0, 0.0, 0.0)
    area = instance.area
    if area is None:
        area = max((x2 - x1) * (y2 - y1) * AREA_OF_BOX, 1.0)
    entry = dict(
        id=number,
        image_id=image_id,
        category_id=1,
        keypoints=[
            int(n) if k % 3 == 2 else round(float(n), 4)
            for k, n in enumerate(numbers.reshape(-1))
        ],
        num_keypoints=int((visible > 0).sum()),
        bbox=[round(n, 4) for n in (x1, y1, x2 - x1, y2 - y1)],
        area=round(float(area), 4),
        iscrowd=int(instance.is_crowd),
    )
    if instance.track:
        entry['track_id'] = instance.track
    if instance.score is not None:
        entry['score'] = float(instance.score)
    if instance.keypoint_scores is not None:
        entry['keypoint_scores'] = [float(s) for s in instance.keypoint_scores]
    return _with_source_id(entry, instance.id)

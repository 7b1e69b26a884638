"""Small annotated sets with all that is rare, and how two are compared."""

import copy
import json
from pathlib import Path

import numpy as np
from PIL import Image

from gtpt_mm.datasets.exchange import Instance, KeypointSet, Picture

NAMES = ['nose', 'left_ear', 'right_ear', 'tail & "base"']
LINKS = [('nose', 'left_ear'), ('nose', 'right_ear')]
SWAP = {'left_ear': 'right_ear', 'right_ear': 'left_ear'}


def save_picture(
    path: Path, size: tuple[int, int] = (64, 48), seed: int = 0
) -> Path:
    """Save a picture that differs from those of other seeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), 'uint8')
    Image.fromarray(pixels).resize(size, 0).save(path)
    return path


def save_turned(path: Path, size: tuple[int, int], orientation: int) -> Path:
    """Save a picture that EXIF turns; ``size`` is that of the stored one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[274] = orientation
    Image.new('RGB', size, (40, 90, 200)).save(path, exif=exif)
    return path


def draw_set(
    folder: Path, num: int = 6, split: bool = True, seed: int = 0
) -> KeypointSet:
    """Return a set: two instances in most pictures, rare things in some.

    The second picture is empty; the third has the name of the first in
    another folder; there are hidden and absent keypoints, boxes of their own
    and integers and texts as ids.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for number in range(num):
        name = 'b/0.png' if number == 2 else f'a/{number}.png'
        path = save_picture(folder / name, seed=number + 100 * seed)
        pictures.append(
            Picture(name, 64, 48, path=path, id=100 + number, group='')
        )
        if split:
            pictures[-1].split = 'val' if number % 3 == 2 else 'train'
        for k in range(0 if number == 1 else 2):
            instance_id = f'm{number}-{k}' if k else 10 * number
            pictures[-1].instances.append(draw_instance(rng, instance_id))
    return KeypointSet(list(NAMES), pictures, list(LINKS), dict(SWAP), 'mouse')


def draw_instance(
    rng: np.random.Generator, instance_id: str | int
) -> Instance:
    """Return an instance inside a picture of 64 x 48."""
    visible = rng.choice([0, 1, 2, 2], len(NAMES))
    visible[0] = 2
    points = rng.uniform((5, 5), (58, 42), (len(NAMES), 2))
    points[visible == 0] = 0
    seen = points[visible > 0]
    x1, y1 = (seen.min(0) - 4).tolist()
    x2, y2 = (seen.max(0) + 4).tolist()
    return Instance(points, visible, (x1, y1, x2, y2), id=instance_id)


def compare(
    one: KeypointSet,
    other: KeypointSet,
    atol: float = 1e-3,
    ids: bool = True,
) -> None:
    """Check that two sets are equal: names, pictures, instances, ids.

    Args:
        one: A set.
        other: A set whose pictures may be in another order.
        atol: Largest difference of a coordinate in pixels.
        ids: Whether ids are compared.
    """
    assert one.names == other.names
    assert one.links == other.links
    assert one.category == other.category
    pictures = {p.name: p for p in other.pictures}
    assert len(pictures) == len(one.pictures) == len(other.pictures)
    for picture in one.pictures:
        match = pictures[picture.name]
        assert (picture.width, picture.height, picture.split) == (
            match.width,
            match.height,
            match.split,
        )
        if ids:
            assert picture.id == match.id
        for a, b in zip(picture.instances, match.instances, strict=True):
            np.testing.assert_array_equal(a.visible, b.visible)
            np.testing.assert_allclose(a.keypoints, b.keypoints, atol=atol)
            assert (a.bbox is None) == (b.bbox is None)
            if a.bbox is not None:
                np.testing.assert_allclose(a.bbox, b.bbox, atol=atol)
            if ids:
                assert (a.id, type(a.id)) == (b.id, type(b.id))


def without_ids(keypoint_set: KeypointSet) -> KeypointSet:
    """Return a copy as YOLO keeps it: no ids, no crowds, boxes clipped."""
    kept = copy.deepcopy(keypoint_set)
    for picture in kept.pictures:
        size = np.array((picture.width, picture.height))
        picture.instances = [i for i in picture.instances if not i.is_crowd]
        for instance in picture.instances:
            if instance.bbox is not None:
                corners = np.array(instance.bbox).reshape(2, 2).clip(0, size)
                instance.bbox = tuple(corners.reshape(-1).tolist())
    return kept


def write_coco(file: Path, **changes) -> dict:
    """Write a COCO file of two pictures with an instance each.

    Args:
        file: The file; its pictures are ``images/1.png`` and ``2.png``
            beside it.
        changes: Lists that replace those of the file.

    Returns:
        The content.
    """
    names = ['nose', 'left_ear', 'right_ear']
    content: dict = dict(
        images=[
            dict(id=k, file_name=f'{k}.png', width=64, height=48)
            for k in (1, 2)
        ],
        annotations=[
            dict(
                id=10 + k,
                image_id=k,
                category_id=1,
                keypoints=[10 * k, 20, 2, 0, 0, 0, 30, 25, 1],
                num_keypoints=2,
                bbox=[5, 10, 40, 30],
                area=700.0,
                iscrowd=0,
            )
            for k in (1, 2)
        ],
        categories=[
            dict(
                id=1, name='mouse', keypoints=names, skeleton=[[1, 2], [1, 3]]
            )
        ],
    )
    content.update(changes)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    for number in (1, 2):
        save_picture(file.parent / 'images' / f'{number}.png', seed=number)
    return content

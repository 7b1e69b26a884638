"""Write YOLO-pose of Ultralytics."""

from pathlib import Path

import numpy as np
import yaml

from .boxes import find_box
from .keypoint_set import Instance, KeypointSet, Picture
from .metainfo import find_swap
from .picture_files import PictureFiles
from .split import SPLITS


def write(keypoint_set: KeypointSet, out: Path, link: bool = False) -> None:
    """Write ``data.yaml``, ``images/SPLIT/`` and ``labels/SPLIT/``.

    Pictures without a split go to train.

    Args:
        keypoint_set: The set; what YOLO cannot hold is counted in it.
        out: Folder that exists.
        link: Whether pictures are linked instead of copied.
    """
    used = {}
    for split in SPLITS:
        pictures = [
            p for p in keypoint_set.pictures if (p.split or 'train') == split
        ]
        if not pictures:
            continue
        used[split] = f'images/{split}'
        part = KeypointSet(keypoint_set.names, pictures)
        files = PictureFiles(part, out / 'images' / split, link, True)
        files.write()
        for picture, name in files.names():
            _write_rows(keypoint_set, picture, out / 'labels' / split / name)
    if 'val' not in used:
        keypoint_set.notes.append(
            'the set has no val, which Ultralytics asks for: add it to '
            'data.yaml'
        )
    text = yaml.safe_dump(
        {**used, **_describe(keypoint_set)},
        sort_keys=False,
        allow_unicode=True,
    )
    (out / 'data.yaml').write_text(text, encoding='utf-8')


def _describe(keypoint_set: KeypointSet) -> dict:
    """Return the classes and keypoints of a yaml."""
    names = keypoint_set.names
    content: dict = dict(
        kpt_shape=[len(names), 3],
        names={0: keypoint_set.category},
        kpt_names={0: list(names)},
    )
    swap = keypoint_set.swap
    if swap is None:
        swap = find_swap(keypoint_set, {})[0] or None
    if swap is None:
        keypoint_set.notes.append(
            'no pairs of left and right are known, so data.yaml has no '
            'flip_idx and Ultralytics does not mirror pictures'
        )
    else:
        content['flip_idx'] = [names.index(swap.get(n, n)) for n in names]
    if keypoint_set.links:
        content['skeleton'] = [
            [names.index(a), names.index(b)] for a, b in keypoint_set.links
        ]
    return content


def _write_rows(
    keypoint_set: KeypointSet, picture: Picture, file: Path
) -> None:
    """Write the rows of a picture beside it, as a .txt."""
    rows = []
    dropped = keypoint_set.dropped
    for instance in picture.instances:
        box = find_box(instance, picture)
        if instance.is_crowd:
            dropped['crowds, which YOLO does not know'] += 1
        elif box is None:
            dropped['instances without a box and a labelled keypoint'] += 1
        else:
            row, num_outside = _row(instance, box, picture)
            rows.append(row)
            if num_outside:
                dropped['keypoints outside of their picture'] += num_outside
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix('.txt').write_text(''.join(f'{row}\n' for row in rows))


def _row(
    instance: Instance, box: tuple[float, ...], picture: Picture
) -> tuple[str, int]:
    """Return the row of an instance, and how many points are outside."""
    size = np.array((picture.width, picture.height), dtype=float)
    low, high = np.array(box).reshape(2, 2).clip(0, size)
    points = instance.keypoints / size
    is_inside = ((points >= 0) & (points <= 1)).all(1)
    visible = np.where(is_inside, instance.visible, 0)
    points = np.where(visible[:, None] > 0, points, 0.0)
    parts = [*((low + high) / 2 / size), *((high - low) / size)]
    values = [f'{part:.8f}' for part in parts]
    for (x, y), v in zip(points, visible, strict=True):
        values += [f'{x:.8f}', f'{y:.8f}', str(int(v))]
    num_outside = int(((instance.visible > 0) & ~is_inside).sum())
    return ' '.join(['0', *values]), num_outside

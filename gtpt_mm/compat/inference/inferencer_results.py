"""Write the results of mmpose's inferencers as JSON, without overwriting.

Broken: in mmpose (<= 1.3.2) ``json.dumps`` of a result fails at
``bbox_score``, a numpy scalar; ``return_datasamples`` with ``pred_out_dir``
fails; images of equal names in two folders, and arrays of several calls,
overwrite each other's files; with the folder of the images as
``vis_out_dir`` the pictures replace the images.

Here: numbers are Python's. ``bbox`` becomes a list with one list of four
numbers, ``[[x1, y1, x2, y2]]``, as in mmpose's JSON files, and ``bbox[0]``
works as with its tuple. Files hold JSON, whatever is returned. A second image
of the same name is written as ``name_1``; the same image again replaces its
own file. Inputs are never overwritten.

Can go: when mmpose does the same.
"""

import functools
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine

from ..replacement import replace_everywhere

#: The image behind each file written by this process.
_sources: dict[str, str | None] = {}
#: How many arrays were written under each name.
_arrays: Counter[str] = Counter()
ARRAY = re.compile(r'\d{6,}\.jpg')


def missing() -> str:
    """Say what is missing."""
    return 'results of mmpose are not JSON and overwrite each other'


def repair() -> None:
    """Convert results, and give each its own file."""
    from mmpose.apis.inferencers import (
        Hand3DInferencer,
        Pose2DInferencer,
        Pose3DInferencer,
    )
    from mmpose.apis.inferencers.base_mmpose_inferencer import (
        BaseMMPoseInferencer as Base,
    )
    from mmpose.structures.utils import split_instances

    replace_everywhere(split_instances, as_json(split_instances))
    Base.postprocess = write_json(Base.postprocess)
    Base.save_visualization = name_picture(Base.save_visualization)
    for kind in (Pose2DInferencer, Hand3DInferencer, Pose3DInferencer):
        kind.visualize = remember_source(kind.visualize)


def as_json(split_instances: Callable) -> Callable:
    """Return ``split_instances`` with numbers and lists of Python only."""

    @functools.wraps(split_instances)
    def split(instances: Any) -> list[dict]:
        people = split_instances(instances)
        for person in people:
            if 'bbox' in person:
                person['bbox'] = [list(box) for box in person['bbox']]
            if 'bbox_score' in person:
                person['bbox_score'] = float(person['bbox_score'])
        return people

    return split


def write_json(postprocess: Callable) -> Callable:
    """Return ``postprocess`` that writes each image's people to its file."""

    @functools.wraps(postprocess)
    def write(
        self: Any,
        preds: list,
        visualization: Any,
        *args: Any,
        pred_out_dir: str = '',
        **options: Any,
    ) -> dict:
        from mmpose.structures import split_instances

        result = postprocess(self, preds, visualization, *args, **options)
        if not pred_out_dir:
            return result
        people = [split_instances(p.get('pred_instances')) for p in preds]
        if self._video_input:
            self.video_info['predictions'] += people
            return result
        for sample, found in zip(preds, people, strict=True):
            source = sample.metainfo['img_path']
            name = Path(source).stem + '.json'
            mmengine.dump(
                found, free_path(pred_out_dir, name, source), indent='  '
            )
        return result

    return write


def remember_source(visualize: Callable) -> Callable:
    """Return ``visualize`` that knows which image it draws."""

    @functools.wraps(visualize)
    def remembering(
        self: Any, inputs: list, preds: list, *args: Any, **options: Any
    ) -> Any:
        is_file = inputs and isinstance(inputs[0], str)
        self._source = inputs[0] if is_file else None
        return visualize(self, inputs, preds, *args, **options)

    return remembering


def name_picture(save_visualization: Callable) -> Callable:
    """Return ``save_visualization`` that overwrites no other image."""

    @functools.wraps(save_visualization)
    def save(
        self: Any, picture: Any, vis_out_dir: str, img_name: str | None = None
    ) -> None:
        if not self._video_input:
            folder, name = str(vis_out_dir), img_name or 'visualization.jpg'
            if os.path.splitext(folder)[1]:
                folder, name = os.path.split(folder)
            source = getattr(self, '_source', None)
            path = free_path(folder, name, source)
            if source and _is_same_file(path, source):
                raise ValueError(
                    f'vis_out_dir={str(vis_out_dir)!r}: the picture would '
                    f'replace the image {source}; give another folder'
                )
            folder, img_name = os.path.split(path)
            vis_out_dir = folder or '.'
        save_visualization(self, picture, vis_out_dir, img_name)

    return save


def free_path(folder: str, name: str, source: str | None) -> str:
    """Return a path for the result of an image that no other image uses.

    Args:
        folder: Folder of the result.
        name: Preferred name; ``_1`` and so on are added to the stem.
        source: Path of the image; None, or mmpose's name of an array, for an
            image without a file, which counts as a new one each time.
    """
    if source is None or ARRAY.fullmatch(source):
        source = None
    elif '://' not in source:
        source = os.path.abspath(source)
    stem, suffix = os.path.splitext(name)
    number = 0 if source else _arrays[os.path.join(folder, name)]
    while True:
        end = f'_{number}' if number else ''
        path = mmengine.fileio.join_path(str(folder), f'{stem}{end}{suffix}')
        key = path if '://' in path else os.path.abspath(path)
        if key not in _sources or (source and _sources[key] == source):
            _sources[key] = source
            _arrays[os.path.join(folder, name)] += source is None
            return path
        number += 1


def _is_same_file(path: str, other: str) -> bool:
    return os.path.exists(path) and (
        os.path.exists(other) and os.path.samefile(path, other)
    )

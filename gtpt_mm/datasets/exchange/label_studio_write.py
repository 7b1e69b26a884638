"""Write tasks of Label Studio, and the labelling configuration for them."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from .boxes import find_box
from .coco_write import write_json
from .keypoint_set import Instance, KeypointSet, Picture
from .picture_files import PictureFiles

#: How a task names a picture of the local storage of Label Studio.
LOCAL = '/data/local-files/?d=images/'
#: Percent of the width of the picture: how large a keypoint is shown.
POINT_WIDTH = 0.5


def write(keypoint_set: KeypointSet, out: Path, link: bool = False) -> None:
    """Write ``tasks.json``, ``label_config.xml`` and ``images/``.

    Where a model predicted instances, tasks get predictions, else
    annotations. Ids, areas and hidden keypoints are noted in the meta of
    regions, which Label Studio keeps.

    Args:
        keypoint_set: The set.
        out: Folder that exists.
        link: Whether pictures are linked instead of copied.
    """
    files = PictureFiles(keypoint_set, out / 'images', link)
    files.write()
    is_predicted = any(
        instance.score is not None
        for picture in keypoint_set.pictures
        for instance in picture.instances
    )
    tasks = [
        _task(keypoint_set, picture, name, number, is_predicted)
        for number, (picture, name) in enumerate(files.names(), 1)
    ]
    write_json(out / 'tasks.json', tasks)
    text = ET.tostring(_configure(keypoint_set), encoding='unicode')
    (out / 'label_config.xml').write_text(f'{text}\n', encoding='utf-8')


def _configure(keypoint_set: KeypointSet) -> ET.Element:
    """Return the labelling configuration of a project."""
    root = ET.Element('View')
    if keypoint_set.links:
        root.set('data-links', json.dumps(keypoint_set.links))
    control = ET.SubElement(
        root, 'RectangleLabels', name='instances', toName='image'
    )
    ET.SubElement(control, 'Label', value=keypoint_set.category)
    control = ET.SubElement(
        root, 'KeyPointLabels', name='keypoints', toName='image'
    )
    for k, name in enumerate(keypoint_set.names):
        ET.SubElement(control, 'Label', value=name, model_index=str(k))
    ET.SubElement(root, 'Image', name='image', value='$image', zoom='true')
    ET.indent(root)
    return root


def _task(
    keypoint_set: KeypointSet,
    picture: Picture,
    name: str,
    number: int,
    is_predicted: bool,
) -> dict:
    """Return the task of a picture."""
    data: dict = dict(image=f'{LOCAL}{name}', file_name=picture.name)
    if picture.id != '':
        data['source_id'] = picture.id
    for key in ('group', 'split'):
        if getattr(picture, key):
            data[key] = getattr(picture, key)
    results = [
        result
        for k, instance in enumerate(picture.instances)
        for result in _results(
            keypoint_set, picture, instance, f't{number}i{k}'
        )
    ]
    if not is_predicted:
        return dict(id=number, data=data, annotations=[dict(result=results)])
    scores = [i.score for i in picture.instances if i.score is not None]
    prediction = dict(
        result=results,
        score=sum(scores) / max(len(scores), 1),
        model_version='gtpt_mm',
    )
    return dict(id=number, data=data, predictions=[prediction])


def _results(
    keypoint_set: KeypointSet, picture: Picture, instance: Instance, key: str
) -> list[dict]:
    """Return the rectangle of an instance, and its keypoints."""
    w, h = picture.width, picture.height
    box = find_box(instance, picture)
    if box is None:
        keypoint_set.dropped[
            'instances without a box and a labelled keypoint'
        ] += 1
        return []
    x1, y1, x2, y2 = box
    value = dict(
        x=100 * x1 / w,
        y=100 * y1 / h,
        width=100 * (x2 - x1) / w,
        height=100 * (y2 - y1) / h,
        rotation=0,
        rectanglelabels=[keypoint_set.category],
    )
    rectangle = _result(picture, key, 'rectanglelabels', 'instances', value)
    points = [
        _point(picture, instance, k, name, key)
        for k, name in enumerate(keypoint_set.names)
        if instance.visible[k]
    ]
    return [{**rectangle, **_notes(instance)}, *points]


def _result(
    picture: Picture, key: str, kind: str, control: str, value: dict
) -> dict:
    """Return a region, without its notes."""
    return dict(
        id=key,
        type=kind,
        from_name=control,
        to_name='image',
        original_width=picture.width,
        original_height=picture.height,
        image_rotation=0,
        value=value,
    )


def _point(
    picture: Picture, instance: Instance, k: int, name: str, key: str
) -> dict:
    """Return a keypoint of an instance."""
    x, y = instance.keypoints[k]
    value = dict(
        x=float(100 * x / picture.width),
        y=float(100 * y / picture.height),
        width=POINT_WIDTH,
        keypointlabels=[name],
    )
    kind, control = 'keypointlabels', 'keypoints'
    result = _result(picture, f'{key}k{k}', kind, control, value)
    result['parentID'] = key
    if instance.visible[k] == 1:
        result['meta'] = dict(visible=1)
    if instance.keypoint_scores is not None:
        result['score'] = float(instance.keypoint_scores[k])
    return result


def _notes(instance: Instance) -> dict:
    """Return what a rectangle notes in its meta, and its score."""
    meta = dict(
        source_id=instance.id,
        track=instance.track,
        area=instance.area,
        is_crowd=instance.is_crowd,
        no_box=instance.bbox is None,
    )
    kept = {k: v for k, v in meta.items() if v not in ('', None, False)}
    if instance.id == 0:
        kept['source_id'] = 0
    notes: dict = dict(meta=kept) if kept else {}
    if instance.score is not None:
        notes['score'] = float(instance.score)
    return notes

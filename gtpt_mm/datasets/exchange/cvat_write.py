"""Write CVAT for images 1.1, and the labels of a task that takes it."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from gtpt_mm.compat.files.atomic_file import atomic_write

from .keypoint_set import Instance, KeypointSet, Picture
from .picture_files import PictureFiles

#: What is written as an attribute of a skeleton, and how CVAT shows it.
ATTRIBUTES = dict(
    source_id='text',
    picture_id='text',
    track='text',
    area='text',
    is_crowd='checkbox',
)
#: Ending of the label of boxes: CVAT has one kind of shape for each label.
BOX = '_box'


def write(keypoint_set: KeypointSet, out: Path, link: bool = False) -> None:
    """Write ``annotations.xml``, ``labels.json`` and ``images/``.

    ``labels.json`` is for the field "Raw" of a new task: its skeleton has
    the keypoints, links and attributes of the set, so that CVAT takes
    ``annotations.xml`` and gives ids back.

    Args:
        keypoint_set: The set.
        out: Folder that exists.
        link: Whether pictures are linked instead of copied.
    """
    files = PictureFiles(keypoint_set, out / 'images', link)
    files.write()
    svg = draw(keypoint_set)
    root = ET.Element('annotations')
    ET.SubElement(root, 'version').text = '1.1'
    root.append(_meta(keypoint_set, svg))
    for number, (picture, name) in enumerate(files.names()):
        root.append(_image(keypoint_set, picture, name, number))
    ET.indent(root)
    with atomic_write(out / 'annotations.xml') as file:
        ET.ElementTree(root).write(file, 'utf-8', xml_declaration=True)
    text = json.dumps(_labels(keypoint_set, svg), indent=1)
    (out / 'labels.json').write_text(text, encoding='utf-8')


def _labels(keypoint_set: KeypointSet, svg: str) -> list[dict]:
    """Return the labels of a task, as CVAT's constructor takes them."""
    attributes = [
        dict(
            name=name,
            input_type=kind,
            mutable=False,
            values=['false'] if kind == 'checkbox' else [''],
            default_value='false' if kind == 'checkbox' else '',
        )
        for name, kind in ATTRIBUTES.items()
    ]
    sublabels = [
        dict(name=name, type='points', attributes=[])
        for name in keypoint_set.names
    ]
    return [
        dict(
            name=keypoint_set.category,
            type='skeleton',
            attributes=attributes,
            sublabels=sublabels,
            svg=svg,
        ),
        dict(
            name=f'{keypoint_set.category}{BOX}',
            type='rectangle',
            attributes=[],
        ),
    ]


def _meta(keypoint_set: KeypointSet, svg: str) -> ET.Element:
    """Return the description of the task."""
    meta = ET.Element('meta')
    task = ET.SubElement(meta, 'task')
    ET.SubElement(task, 'name').text = keypoint_set.category
    ET.SubElement(task, 'size').text = str(len(keypoint_set.pictures))
    ET.SubElement(task, 'mode').text = 'annotation'
    labels = ET.SubElement(task, 'labels')
    for label in _labels(keypoint_set, svg):
        element = ET.SubElement(labels, 'label')
        for key in ('name', 'type', 'svg'):
            if key in label:
                ET.SubElement(element, key).text = label[key]
        attributes = ET.SubElement(element, 'attributes')
        for attribute in label['attributes']:
            entry = ET.SubElement(attributes, 'attribute')
            ET.SubElement(entry, 'name').text = attribute['name']
            ET.SubElement(entry, 'mutable').text = 'False'
            ET.SubElement(entry, 'input_type').text = attribute['input_type']
            ET.SubElement(entry, 'default_value').text = attribute[
                'default_value'
            ]
            ET.SubElement(entry, 'values').text = '\n'.join(
                attribute['values']
            )
        for sublabel in label.get('sublabels', ()):
            below = ET.SubElement(labels, 'label')
            ET.SubElement(below, 'name').text = sublabel['name']
            ET.SubElement(below, 'type').text = 'points'
            ET.SubElement(below, 'attributes')
            ET.SubElement(below, 'parent').text = label['name']
    return meta


def draw(keypoint_set: KeypointSet) -> str:
    """Return the drawing of the skeleton, in the middle pose of the set."""
    names = keypoint_set.names
    places = _middle_pose(keypoint_set)
    lines = [(names.index(a), names.index(b)) for a, b in keypoint_set.links]
    root = ET.Element('svg')
    for a, b in lines:
        (x1, y1), (x2, y2) = places[a], places[b]
        values = dict(x1=f'{x1:.2f}', y1=f'{y1:.2f}', x2=f'{x2:.2f}')
        ET.SubElement(
            root,
            'line',
            {
                **values,
                'y2': f'{y2:.2f}',
                'data-type': 'edge',
                'data-node-from': str(a + 1),
                'data-node-to': str(b + 1),
            },
        )
    for k, (x, y) in enumerate(places):
        ET.SubElement(
            root,
            'circle',
            {
                'r': '1.5',
                'cx': f'{x:.2f}',
                'cy': f'{y:.2f}',
                'data-type': 'element node',
                'data-element-id': str(k + 1),
                'data-node-id': str(k + 1),
                'data-label-name': names[k],
            },
        )
    parts = [
        ET.tostring(e, encoding='unicode', short_empty_elements=False)
        for e in root
    ]
    return ''.join(parts)


def _middle_pose(keypoint_set: KeypointSet) -> np.ndarray:
    """Return a place for each keypoint, in a square of 100: (K, 2).

    That is the median over all instances, each scaled to its extent; a
    keypoint that is never labelled stands in the corner.
    """
    num = len(keypoint_set.names)
    rows = []
    for picture in keypoint_set.pictures:
        for instance in picture.instances:
            is_labelled = instance.visible > 0
            if is_labelled.sum() < 2:
                continue
            points = np.where(is_labelled[:, None], instance.keypoints, np.nan)
            low, high = np.nanmin(points, 0), np.nanmax(points, 0)
            rows.append((points - low) / max(*(high - low), 1e-6))
    middle = np.zeros((num, 2))
    for k in range(num):
        seen = [row[k] for row in rows if np.isfinite(row[k]).all()]
        if seen:
            middle[k] = np.median(seen, axis=0)
    return 10 + 80 * middle


def _image(
    keypoint_set: KeypointSet, picture: Picture, name: str, number: int
) -> ET.Element:
    """Return the element of a picture."""
    element = ET.Element(
        'image',
        id=str(number),
        name=name,
        width=str(picture.width),
        height=str(picture.height),
    )
    if picture.split:
        element.set('subset', picture.split)
    for group, instance in enumerate(picture.instances, 1):
        element.append(_skeleton(keypoint_set, picture, instance, group))
        if instance.bbox is not None:
            keys = ('xtl', 'ytl', 'xbr', 'ybr')
            corners = (f'{value:.4f}' for value in instance.bbox)
            ET.SubElement(
                element,
                'box',
                dict(zip(keys, corners, strict=True)),
                label=f'{keypoint_set.category}{BOX}',
                source='manual',
                occluded='0',
                z_order='0',
                group_id=str(group),
            )
    return element


def _skeleton(
    keypoint_set: KeypointSet,
    picture: Picture,
    instance: Instance,
    group: int,
) -> ET.Element:
    """Return the element of an instance."""
    source = 'manual' if instance.score is None else 'auto'
    element = ET.Element(
        'skeleton',
        label=keypoint_set.category,
        source=source,
        z_order='0',
        group_id=str(group),
    )
    values = dict(
        source_id='' if instance.id == '' else json.dumps(instance.id),
        picture_id='' if picture.id == '' else json.dumps(picture.id),
        track=instance.track,
        area='' if instance.area is None else f'{instance.area:.4f}',
        is_crowd='true' if instance.is_crowd else '',
    )
    for name, value in values.items():
        if value:
            ET.SubElement(element, 'attribute', name=name).text = value
    for k, name in enumerate(keypoint_set.names):
        x, y = instance.keypoints[k]
        ET.SubElement(
            element,
            'points',
            label=name,
            source=source,
            outside=str(int(instance.visible[k] == 0)),
            occluded=str(int(instance.visible[k] == 1)),
            points=f'{x:.4f},{y:.4f}',
        )
    return element

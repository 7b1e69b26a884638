"""COCO files that CVAT wrote.

CVAT lists the keypoints of a category in the order of its drawing of the
skeleton, not in that of their labels, so two tasks differ, and so may a task
and COCO. Names and points match each other, but pairs of the skeleton are
numbers of the drawn nodes, not indices into the list. Until October 2022 the
points of each annotation had their own order; nothing in such a file shows it.

Source: issue 5048 of cvat-ai/cvat and pull request 14 of cvat-ai/datumaro.
"""

from .cvat import in_order, read_id
from .keypoint_set import KeypointSet
from .yolo import COCO_NAMES


def is_of_cvat(content: dict) -> bool:
    """Return whether CVAT wrote a COCO file: it notes what is occluded."""
    return any(
        isinstance(annotation.get('attributes'), dict)
        and 'occluded' in annotation['attributes']
        for annotation in content.get('annotations', ())
    )


def read_attributes(content: dict) -> None:
    """Take the ids that our writer for CVAT noted as attributes.

    Args:
        content: Content of the file, changed in place.
    """
    images = {}
    for annotation in content.get('annotations') or ():
        if not isinstance(annotation, dict):
            continue
        values = annotation.get('attributes')
        if not isinstance(values, dict):
            continue
        if values.get('source_id') not in (None, ''):
            annotation['source_id'] = read_id(str(values['source_id']))
        if values.get('picture_id') not in (None, ''):
            picture_id = read_id(str(values['picture_id']))
            images[str(annotation.get('image_id'))] = picture_id
        for key in ('track_id', 'track'):
            if values.get(key) not in (None, ''):
                annotation['track_id'] = values[key]
        if str(values.get('is_crowd', '')).lower() in ('1', 'true'):
            annotation['iscrowd'] = 1
    for image in content.get('images') or ():
        if isinstance(image, dict) and str(image.get('id')) in images:
            image['source_id'] = images[str(image['id'])]


def undo_cvat(
    found: KeypointSet, content: dict, chosen: dict[int, list[str]]
) -> None:
    """Put the names of a set in the order of their labels.

    Numbers are put in their order, COCO's 17 in that of COCO; other names
    stay as they are.

    Args:
        found: The set, whose names and links are changed in place.
        content: Content of the file.
        chosen: Ids and names of the categories that are read.
    """
    written = found.names
    if set(written) == set(COCO_NAMES):
        found.names = COCO_NAMES
    else:
        found.names = in_order(written)
    pairs = next(
        (
            entry.get('skeleton') or []
            for entry in content['categories']
            if entry['id'] in chosen
        ),
        [],
    )
    nodes = {str(number) for pair in pairs for number in pair}
    if all(map(str.isdecimal, written)) and nodes <= set(written):
        found.links = [(str(a), str(b)) for a, b in pairs]
    elif any(not 1 <= int(node) <= len(written) for node in nodes):
        found.links = []
        found.notes.append(
            'the skeleton of CVAT joins nodes that are not in the list of '
            'keypoints; its lines were left out'
        )
    if found.names != written:
        found.notes.append(
            f'CVAT wrote the keypoints in the order {", ".join(written)}; '
            f'they were put in the order {", ".join(found.names)} by their '
            'names'
        )

"""Ids of images, annotations and categories."""

from collections.abc import Sequence
from typing import Any

from .findings import Findings, name, plain


def mend_images(
    content: dict, findings: Findings, needs: Sequence[str]
) -> None:
    """Give every image a unique integer id; leave out exact repetitions."""
    images = content['images']
    for index, image in enumerate(images):
        for key in needs:
            if image.get(key) is None or isinstance(image[key], (dict, list)):
                entry = f'entry {index}, {str(image)[:80]}'
                findings.error(f'images without {key}', entry)
    findings.check()
    ids = [image['id'] for image in images]
    new = _integers(ids)
    findings.image_ids = dict(zip(ids, new, strict=True))
    changed = sum(type(i) is not int for i in ids)
    if changed:
        findings.mended['image ids that were no integers'] += changed
    kept: dict[int, dict] = {}
    for image, number in zip(images, new, strict=True):
        first = kept.setdefault(number, image)
        files = [i.get('file_name') for i in (first, image)]
        if files[0] != files[1]:
            findings.error(
                'several images have the same id, so annotations would be '
                'read with the wrong image; number the images',
                f'{image["id"]} ({files[0]}, {files[1]})',
            )
        image['id'] = number
    if len(kept) < len(images):
        findings.mended['images listed twice'] += len(images) - len(kept)
        content['images'] = list(kept.values())


def _integers(ids: list) -> list[int]:
    """Return ids as integers: their values, or their order of appearance."""
    if all(type(i) is int for i in ids):
        return ids
    numbers = [plain(i) for i in ids]
    are_clear = len(set(numbers)) == len({str(i) for i in ids})
    if are_clear and all(type(n) is int for n in numbers):
        return numbers
    order: dict[Any, int] = {}
    return [order.setdefault(i, len(order) + 1) for i in ids]


def mend_annotation_ids(content: dict, findings: Findings) -> None:
    """Give every annotation a unique integer id and the id of its image."""
    annotations = content.get('annotations', [])
    for annotation in annotations:
        image = annotation.get('image_id')
        if image is None or isinstance(image, (dict, list)):
            findings.error('annotations without image_id', name(annotation))
        elif image in findings.image_ids:
            annotation['image_id'] = findings.image_ids[image]
        elif (number := findings.image_id(image)) is not None:
            annotation['image_id'] = number
            findings.mended['image_id given as text'] += 1
    ids = [annotation.get('id') for annotation in annotations]
    if all(type(i) is int for i in ids) and len(set(ids)) == len(ids):
        return
    findings.mended['annotations with a new id'] += _renumber(annotations)


def _renumber(annotations: list[dict]) -> int:
    """Keep the first of equal ids; return how many got a new one."""
    taken: set[int] = set()
    waiting = []
    for annotation in annotations:
        number = plain(annotation.get('id'))
        if type(number) is int and number not in taken:
            taken.add(number)
            annotation['id'] = number
        else:
            waiting.append(annotation)
    following = max(taken, default=0)
    for number, annotation in enumerate(waiting, following + 1):
        annotation['id'] = number
    return len(waiting)


def mend_categories(content: dict, findings: Findings) -> None:
    """Give every annotation a category id; list categories if none are."""
    categories = content.get('categories', [])
    for category in categories:
        if 'id' not in category:
            findings.error('categories without id', str(category)[:80])
    findings.check()
    for category in categories:
        category['id'] = plain(category['id'])
    known = {category['id'] for category in categories}
    if len(known) < len(categories):
        findings.error(
            'several categories have one id',
            *(f'{c["id"]} ({c.get("name")})' for c in categories),
        )
    only = next(iter(known or {1})) if len(known) < 2 else None
    # Unlisted categories are allowed if all listed ones have the same
    # keypoints, as for animals.
    kinds = {str(c.get('keypoints')) for c in categories}
    is_strict = len(known) == 1 or len(kinds) > 1
    for annotation in content.get('annotations', []):
        written = annotation.get('category_id')
        category = annotation['category_id'] = plain(written)
        if category is not written:
            findings.mended['category_id given as text'] += 1
        if category is None and only is not None:
            annotation['category_id'] = only
            findings.mended['annotations without category_id'] += 1
        elif category is None:
            findings.error('no category_id', name(annotation))
        elif category in known or not known or 'keypoints' not in annotation:
            continue
        elif not is_strict:
            findings.unlisted[category] += 1
        else:
            findings.error(
                f'category_id is not among the categories {sorted(known)}',
                f'{category} of {name(annotation)}',
            )
    if not categories:
        used = {a['category_id'] for a in content.get('annotations', [])}
        content['categories'] = [
            dict(id=i, name=str(i)) for i in sorted(used or {1}, key=str)
        ]

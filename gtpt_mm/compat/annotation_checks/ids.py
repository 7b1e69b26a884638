"""Ids of images, annotations and categories."""

import contextlib
from typing import Any

from .findings import Findings, name


def mend_images(content: dict, findings: Findings) -> None:
    """Give every image an own integer as id; leave out exact repetitions."""
    images = content['images']
    for image in images:
        for key in ('id', 'file_name'):
            if image.get(key) is None or isinstance(image[key], (dict, list)):
                findings.error(f'images without {key}', str(image)[:80])
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
        if first is not image and first['file_name'] != image['file_name']:
            findings.error(
                'several images have one id, so that people would be looked '
                'for in the wrong image; number the images',
                f'{image["id"]} ({first["file_name"]}, {image["file_name"]})',
            )
        image['id'] = number
    if len(kept) < len(images):
        findings.mended['images listed twice'] += len(images) - len(kept)
        content['images'] = list(kept.values())


def _integers(ids: list) -> list[int]:
    """Return ids as integers: their values, or their order of appearance."""
    if all(type(i) is int for i in ids):
        return ids
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        numbers = [int(i) for i in ids]
        equal = [
            n == i or str(n) == i for n, i in zip(numbers, ids, strict=True)
        ]
        if all(equal):
            return numbers
    order: dict[Any, int] = {}
    return [order.setdefault(i, len(order) + 1) for i in ids]


def mend_annotation_ids(content: dict, findings: Findings) -> None:
    """Give every annotation an own integer as id and that of its image."""
    annotations = content.get('annotations', [])
    image_ids = findings.image_ids
    by_text = None
    for annotation in annotations:
        image = annotation.get('image_id')
        if image is None or isinstance(image, (dict, list)):
            findings.error('annotations without image_id', name(annotation))
        elif image in image_ids:
            annotation['image_id'] = image_ids[image]
        else:
            by_text = by_text or {str(k): v for k, v in image_ids.items()}
            if str(image) in by_text:
                annotation['image_id'] = by_text[str(image)]
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
        number = annotation.get('id')
        if isinstance(number, str) and number.isdecimal():
            number = int(number)
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
    """Give every annotation with keypoints the id of a category."""
    categories = content.get('categories', [])
    for category in categories:
        if 'id' not in category:
            findings.error('categories without id', str(category)[:80])
    findings.check()
    known = {category['id'] for category in categories}
    if len(known) < len(categories):
        findings.error(
            'several categories have one id',
            *(f'{c["id"]} ({c.get("name")})' for c in categories),
        )
    only = next(iter(known or {1})) if len(known) < 2 else None
    # More categories with the same keypoints, as of animals, are alike.
    kinds = {str(c.get('keypoints')) for c in categories}
    is_strict = len(known) == 1 or len(kinds) > 1
    for annotation in content.get('annotations', []):
        category = annotation.get('category_id')
        if category in known or 'keypoints' not in annotation:
            continue
        if category is None and only is not None:
            annotation['category_id'] = only
            findings.mended['annotations without category_id'] += 1
        elif category is None:
            findings.error('no category_id', name(annotation))
        elif isinstance(category, str) and category.isdecimal():
            annotation['category_id'] = int(category)
            findings.mended['category_id given as text'] += 1
        elif not is_strict:
            findings.unlisted[category] += 1
        else:
            findings.error(
                f'category_id is not among the categories {sorted(known)}',
                f'{category} of {name(annotation)}',
            )

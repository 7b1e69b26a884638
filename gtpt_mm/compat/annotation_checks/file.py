"""Read an annotation file; mend what needs no guess, refuse the rest."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .findings import AnnotationError, Findings
from .ids import mend_annotation_ids, mend_categories, mend_images
from .numbers import mend_flags, mend_numbers


def read_json(file: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        AnnotationError: If it is empty, torn or no JSON.
    """
    try:
        with open(file, encoding='utf-8') as lines:
            return json.load(lines)
    except (ValueError, RecursionError) as error:
        size = Path(file).stat().st_size
        raise AnnotationError(
            f'{file} ({size:,} bytes) is empty, torn or not JSON: {error}. '
            'Write or copy it again'
        ) from error


def read(file: str | Path, *, needs: Sequence[str] = ()) -> tuple:
    """Read an annotation file and mend what needs no guess.

    Args:
        file: Path of the file.
        needs: Lists that must be there, besides ``images``.

    Returns:
        The content, and the :class:`Findings`.

    Raises:
        AnnotationError: If it cannot be used.
    """
    content = read_json(file)
    findings = Findings(str(file))
    if not isinstance(content, dict):
        raise AnnotationError(
            f'{file} holds a {type(content).__name__}, not the dictionary of '
            'images, annotations and categories of COCO'
        )
    for key in ('images', 'annotations', 'categories'):
        value = content.get(key, ())
        is_list = isinstance(value, (list, tuple))
        if not is_list or not all(isinstance(v, dict) for v in value):
            findings.error(f'{key!r} must be a list of dictionaries')
        elif key not in content and key in ('images', *needs):
            findings.error(f'it has no list {key!r}')
    findings.check()
    mend_images(content, findings)
    mend_annotation_ids(content, findings)
    mend_categories(content, findings)
    for key, row in dict(bbox=4, keypoints=0, area=1).items():
        mend_numbers(content, key, row, findings)
    for key in ('iscrowd', 'num_keypoints'):
        mend_flags(content, key, findings)
    findings.check()
    return content, findings

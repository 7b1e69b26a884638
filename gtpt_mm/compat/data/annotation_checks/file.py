"""Read an annotation file; mend mistakes without guessing, refuse others."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from .findings import AnnotationError, Findings
from .ids import mend_annotation_ids, mend_categories, mend_images
from .numbers import mend_flags, mend_numbers


@contextlib.contextmanager
def reading_json(file: str | Path) -> Iterator[None]:
    """Name the file in errors while it is read.

    Raises:
        AnnotationError: If it is empty, torn or not JSON.
    """
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        path = Path(file)
        size = f' ({path.stat().st_size:,} bytes)' if path.is_file() else ''
        raise AnnotationError(
            f'{file}{size} is empty, torn or not JSON: {error}. Write or copy '
            'it again'
        ) from error


def read(
    file: str | Path,
    *,
    needs: Sequence[str] = (),
    image_needs: Sequence[str] = ('id',),
) -> tuple:
    """Read an annotation file and mend mistakes without guessing.

    Args:
        file: Path of the file.
        needs: Lists that the file must have besides ``images``.
        image_needs: Keys that every image must have.

    Returns:
        The content, and the :class:`Findings`.

    Raises:
        AnnotationError: If it cannot be used.
    """
    with reading_json(file), open(file, encoding='utf-8') as lines:
        content = json.load(lines)
    findings = mend(content, file, needs=needs, image_needs=image_needs)
    return content, findings


def mend(
    content: dict,
    file: str | Path,
    *,
    needs: Sequence[str] = (),
    image_needs: Sequence[str] = ('id',),
) -> Findings:
    """Mend mistakes in the content of a file, without guessing.

    Args:
        content: Content of the file, changed in place.
        file: Path of the file, for messages.
        needs: Lists that the file must have besides ``images``.
        image_needs: Keys that every image must have.

    Returns:
        The :class:`Findings`.

    Raises:
        AnnotationError: If it cannot be used.
    """
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
    mend_content(content, findings, image_needs)
    return findings


def mend_content(
    content: dict, findings: Findings, image_needs: Sequence[str]
) -> None:
    """Mend the entries of the lists of a file.

    Args:
        content: Lists of dictionaries, changed in place.
        findings: Receives repairs and mistakes; its ``check`` decides
            whether a mistake ends the reading.
        image_needs: Keys that every image must have.
    """
    mend_images(content, findings, image_needs)
    mend_annotation_ids(content, findings)
    mend_categories(content, findings)
    for key, row in dict(bbox=4, keypoints=0, area=1).items():
        mend_numbers(content, key, row, findings)
    for key in ('iscrowd', 'num_keypoints'):
        mend_flags(content, key, findings)
    findings.check()

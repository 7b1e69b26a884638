"""Checks of an annotation file in COCO's layout.

Pure functions on the content of a file, without mmpose. A mistake that can be
mended without guessing is mended and counted; any other is an error that lists
the first few ids.
"""

from .file import mend, mend_content, read, reading_json
from .findings import (
    AnnotationError,
    Findings,
    count,
    name,
    plain,
)
from .names import compare_names
from .numbers import AREA_OF_BOX, LIMIT, add_areas
from .sizes import mend_sizes

__all__ = [
    'AREA_OF_BOX',
    'LIMIT',
    'AnnotationError',
    'Findings',
    'add_areas',
    'compare_names',
    'count',
    'mend',
    'mend_content',
    'mend_sizes',
    'name',
    'plain',
    'read',
    'reading_json',
]

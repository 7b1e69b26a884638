"""What an annotation file in COCO's layout must hold.

Pure functions on the content of a file, without mmpose. What is certainly a
mistake is an error with the ids of the first few; what can be mended without
a guess is mended and counted.
"""

from .file import read, read_json
from .findings import AnnotationError, Findings, list_some, name
from .names import compare_names
from .sizes import image_size, mend_sizes

__all__ = [
    'AnnotationError',
    'Findings',
    'compare_names',
    'image_size',
    'list_some',
    'mend_sizes',
    'name',
    'read',
    'read_json',
]

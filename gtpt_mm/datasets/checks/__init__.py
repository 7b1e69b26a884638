"""Checks of an annotated set: pure functions that return findings."""

from .bones import check_bones, measure_bones
from .boxes import check_boxes, check_copies
from .coco_file import read_files
from .duplicates import check_duplicates
from .files import check_files
from .findings import KINDS, SEVERITIES, Finding, sort_findings
from .labels import check_labels, check_pictures
from .points import check_points
from .sides import check_sides
from .stack import Stack, stack_up

__all__ = [
    'KINDS',
    'SEVERITIES',
    'Finding',
    'Stack',
    'check_bones',
    'check_boxes',
    'check_copies',
    'check_duplicates',
    'check_files',
    'check_labels',
    'check_pictures',
    'check_points',
    'check_sides',
    'measure_bones',
    'read_files',
    'sort_findings',
    'stack_up',
]

"""Errors of pose estimators by kind, and what AP would be without them."""

from .average_precision import THRESHOLDS, compute_ap, find_matches
from .breakdown import (
    PCK_THRESHOLD,
    arrange_kinds,
    by_keypoint,
    compute_pck,
    measure_distances,
)
from .kinds import KINDS, classify
from .pairs import find_pairs
from .poses import Poses, read_poses

__all__ = [
    'KINDS',
    'PCK_THRESHOLD',
    'THRESHOLDS',
    'Poses',
    'arrange_kinds',
    'by_keypoint',
    'classify',
    'compute_ap',
    'compute_pck',
    'find_matches',
    'find_pairs',
    'measure_distances',
    'read_poses',
]

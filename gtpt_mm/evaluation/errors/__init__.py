"""Errors of pose estimators by kind, and what AP would be without them."""

from .average_precision import THRESHOLDS, Matches, compute_ap, find_matches
from .breakdown import (
    PCK_THRESHOLD,
    arrange_kinds,
    by_group,
    by_keypoint,
    compute_pck,
    measure_distances,
)
from .calibration import calibrate_instances, calibrate_keypoints
from .corrections import ERRORS, Diagnosis, diagnose
from .curves import draw_curves
from .kinds import KINDS
from .poses import Poses, read_poses, write_poses

__all__ = [
    'ERRORS',
    'KINDS',
    'PCK_THRESHOLD',
    'THRESHOLDS',
    'Diagnosis',
    'Matches',
    'Poses',
    'arrange_kinds',
    'by_group',
    'by_keypoint',
    'calibrate_instances',
    'calibrate_keypoints',
    'compute_ap',
    'compute_pck',
    'diagnose',
    'draw_curves',
    'find_matches',
    'measure_distances',
    'read_poses',
    'write_poses',
]

"""Foreign checkpoints: one file each, a table of names and a function."""

from .group_pose import (
    convert_group_pose,
    is_authors_group_pose,
    is_our_group_pose,
    our_group_pose_name,
    revert_group_pose,
)
from .gtpt import (
    convert_gtpt,
    is_authors_gtpt,
    our_gtpt_name,
    read_state_dicts,
    revert_gtpt,
)
from .vitpose import (
    ConvertedViTPose,
    convert_vitpose,
    find_vitpose_layout,
    is_our_vitpose,
    revert_vitpose,
)

__all__ = [
    'ConvertedViTPose',
    'convert_group_pose',
    'convert_gtpt',
    'convert_vitpose',
    'find_vitpose_layout',
    'is_authors_group_pose',
    'is_authors_gtpt',
    'is_our_group_pose',
    'is_our_vitpose',
    'our_group_pose_name',
    'our_gtpt_name',
    'read_state_dicts',
    'revert_group_pose',
    'revert_gtpt',
    'revert_vitpose',
]

"""Foreign checkpoints: one file each, a table of names and a function."""

from .files import (
    SAFETENSORS,
    find_weights,
    read_state_dicts,
    write_state_dict,
)
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
    revert_gtpt,
)
from .multi_dataset import (
    add_dataset,
    split_config,
    split_model,
    split_state_dict,
)
from .names import NameTable
from .sources import Source, find_source
from .vitpose import (
    DATASETS,
    ConvertedViTPose,
    convert_mae,
    convert_vitpose,
    count_experts,
    find_datasets,
    find_mae_layout,
    find_patch_grid,
    find_vitpose_layout,
    is_native_vitpose,
    revert_vitpose,
)

__all__ = [
    'DATASETS',
    'SAFETENSORS',
    'ConvertedViTPose',
    'NameTable',
    'Source',
    'add_dataset',
    'convert_group_pose',
    'convert_gtpt',
    'convert_mae',
    'convert_vitpose',
    'count_experts',
    'find_datasets',
    'find_mae_layout',
    'find_patch_grid',
    'find_source',
    'find_vitpose_layout',
    'find_weights',
    'is_authors_group_pose',
    'is_authors_gtpt',
    'is_native_vitpose',
    'is_our_group_pose',
    'our_group_pose_name',
    'our_gtpt_name',
    'read_state_dicts',
    'revert_group_pose',
    'revert_gtpt',
    'revert_vitpose',
    'split_config',
    'split_model',
    'split_state_dict',
    'write_state_dict',
]

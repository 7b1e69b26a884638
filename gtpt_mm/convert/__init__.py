"""Checkpoints of other projects: a table of names for each format."""

from .checkpoint_keypoints import (
    Keypoints,
    find_names,
    read_config_names,
    read_names,
)
from .files import (
    SAFETENSORS,
    find_sha256,
    find_weights,
    read_checkpoint,
    read_state_dicts,
    save_state_dict,
    write_state_dict,
)
from .fine_tuning import fit_checkpoint
from .group_pose import (
    GROUP_POSE_NAMES,
    convert_group_pose,
    export_group_pose,
)
from .gtpt import (
    convert_gtpt,
    export_gtpt,
    gtpt_names,
)
from .multi_dataset import (
    add_dataset,
    check_dataset_name,
    split_config,
    split_model,
    split_state_dict,
)
from .names import NameTable
from .saved_config import read_saved_config
from .skeletons import Transferred, transfer
from .sources import Source, convert_to_native, find_source
from .vitpose import (
    DATASETS,
    ConvertedViTPose,
    convert_mae,
    convert_vitpose,
    count_experts,
    export_vitpose,
    find_datasets,
    find_mae_layout,
    find_patch_grid,
    find_vitpose_layout,
)
from .vitpose.hand_back import (
    HandedBack,
    choose_head,
    hand_back,
    write_folder,
)

__all__ = [
    'DATASETS',
    'GROUP_POSE_NAMES',
    'SAFETENSORS',
    'ConvertedViTPose',
    'HandedBack',
    'Keypoints',
    'NameTable',
    'Source',
    'Transferred',
    'add_dataset',
    'check_dataset_name',
    'choose_head',
    'convert_group_pose',
    'convert_gtpt',
    'convert_mae',
    'convert_to_native',
    'convert_vitpose',
    'count_experts',
    'export_group_pose',
    'export_gtpt',
    'export_vitpose',
    'find_datasets',
    'find_mae_layout',
    'find_patch_grid',
    'find_names',
    'find_sha256',
    'find_source',
    'find_vitpose_layout',
    'find_weights',
    'fit_checkpoint',
    'gtpt_names',
    'hand_back',
    'read_checkpoint',
    'read_config_names',
    'read_names',
    'read_saved_config',
    'read_state_dicts',
    'save_state_dict',
    'split_config',
    'split_model',
    'split_state_dict',
    'transfer',
    'write_folder',
    'write_state_dict',
]

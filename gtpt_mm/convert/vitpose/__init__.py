"""ViTPose and ViTPose++: a file for each project that has them."""

from .mae import (
    PATCH_PADDINGS,
    convert_mae,
    find_mae_layout,
    find_patch_grid,
)
from .ours import (
    DATASETS,
    ConvertedViTPose,
    count_experts,
    find_datasets,
    is_our_vitpose,
    split_vitpose,
)
from .sources import (
    LAYOUTS,
    convert_vitpose,
    find_vitpose_layout,
    revert_vitpose,
)

__all__ = [
    'DATASETS',
    'LAYOUTS',
    'PATCH_PADDINGS',
    'ConvertedViTPose',
    'convert_mae',
    'convert_vitpose',
    'count_experts',
    'find_datasets',
    'find_mae_layout',
    'find_patch_grid',
    'find_vitpose_layout',
    'is_our_vitpose',
    'revert_vitpose',
    'split_vitpose',
]

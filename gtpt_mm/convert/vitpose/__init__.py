"""ViTPose and ViTPose++: one file for each checkpoint format."""

from .mae import (
    PATCH_PADDINGS,
    convert_mae,
    find_mae_layout,
    find_patch_grid,
)
from .native import (
    DATASETS,
    ConvertedViTPose,
    count_experts,
    find_datasets,
    is_native_vitpose,
)
from .sources import (
    LAYOUTS,
    convert_vitpose,
    export_vitpose,
    find_vitpose_layout,
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
    'export_vitpose',
    'is_native_vitpose',
]

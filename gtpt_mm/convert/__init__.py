"""Foreign checkpoints: one file each, a table of names and a function."""

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
    'convert_gtpt',
    'convert_vitpose',
    'find_vitpose_layout',
    'is_authors_gtpt',
    'is_our_vitpose',
    'our_gtpt_name',
    'read_state_dicts',
    'revert_gtpt',
    'revert_vitpose',
]

"""Foreign checkpoints: one file each, a table of names and a function."""

from .gtpt import (
    convert_gtpt,
    is_authors_gtpt,
    our_gtpt_name,
    read_state_dicts,
    revert_gtpt,
)

__all__ = [
    'convert_gtpt',
    'is_authors_gtpt',
    'our_gtpt_name',
    'read_state_dicts',
    'revert_gtpt',
]

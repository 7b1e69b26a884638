"""Variants of GTPT that only the ablations use."""

from .variants import (
    MHSAGTPT,
    AddedDenseGTPT,
    DenseGTPT,
    MaskFreeGTPT,
    SparseDenseGTPT,
    UngroupedGTPT,
    every_row,
)

__all__ = [
    'AddedDenseGTPT',
    'DenseGTPT',
    'MHSAGTPT',
    'MaskFreeGTPT',
    'SparseDenseGTPT',
    'UngroupedGTPT',
    'every_row',
]

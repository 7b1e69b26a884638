"""Trained models made fast: folding of norms, fusing of layers, chunking."""

from . import fused_gtpt  # noqa: F401  (registers)
from .fuse import fuse

__all__ = ['fuse']

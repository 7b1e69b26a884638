"""Trained models made fast: folding of norms, fusing of layers, chunking."""

# Importing these registers how their models are fused.
from . import fused_group_pose  # noqa: F401
from .fuse import fuse

__all__ = ['fuse']

"""Trained models made fast: fusing of norms and layers, chunking."""

# Importing these registers how their models are fused.
from . import fused_group_pose, fused_gtpt, fused_sandwich  # noqa: F401
from .fuse import fuse

__all__ = ['fuse']

"""Trained models made fast: folding of norms, fusing of layers, chunking."""

from .fuse import fuse

__all__ = ['fuse']

"""Trained models made fast: fusing, chunking, export to files."""

# Importing these registers how their models are fused and exported.
from . import (  # noqa: F401
    exported_group_pose,
    fused_group_pose,
    fused_gtpt,
    fused_sandwich,
)
from .export import Exported, export_model
from .fuse import fuse
from .graph import make_graph, output_names

__all__ = ['Exported', 'export_model', 'fuse', 'make_graph', 'output_names']

"""Faster inference of trained models: fusing, chunking, export to files."""

# Importing these registers how models are fused and exported.
from . import (  # noqa: F401
    export_gtpt,
    export_sandwich,
    export_vit,
    exported_group_pose,
    fused_group_pose,
    fused_gtpt,
    fused_sandwich,
)
from .export import Exported, export_model
from .fuse import fuse
from .graph import make_graph, output_names

__all__ = ['Exported', 'export_model', 'fuse', 'make_graph', 'output_names']

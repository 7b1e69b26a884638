"""Pictures of what models do: kept tokens, attention, training curves."""

from .attention import (
    draw_attention,
    draw_shallow_attention,
    trace_attention,
)
from .curves import plot_training
from .gtpt_visualization_hook import GTPTVisualizationHook
from .multi_dataset_visualizer import MultiDatasetVisualizer
from .pruning import draw_kept_tokens, draw_pruning

__all__ = [
    'GTPTVisualizationHook',
    'MultiDatasetVisualizer',
    'draw_attention',
    'draw_kept_tokens',
    'draw_pruning',
    'draw_shallow_attention',
    'plot_training',
    'trace_attention',
]

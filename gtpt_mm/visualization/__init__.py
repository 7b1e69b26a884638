"""Pictures of models: kept tokens, attention, predictions, training curves."""

from .curves import plot_training
from .gtpt import (
    GTPTVisualizationHook,
    crop_instances,
    draw_tokens,
    trace_attention,
)
from .multi_dataset_visualizer import MultiDatasetVisualizer

__all__ = [
    'GTPTVisualizationHook',
    'MultiDatasetVisualizer',
    'crop_instances',
    'draw_tokens',
    'plot_training',
    'trace_attention',
]

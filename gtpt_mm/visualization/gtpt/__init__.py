"""Pictures of the tokens that a GTPT keeps and attends to."""

from .attention import trace_attention
from .crops import crop_instances
from .draw import draw_tokens
from .visualization_hook import GTPTVisualizationHook

__all__ = [
    'GTPTVisualizationHook',
    'crop_instances',
    'draw_tokens',
    'trace_attention',
]

"""Pictures of what models do: kept tokens, training curves."""

from .curves import plot_training
from .pruning import draw_kept_tokens, draw_pruning

__all__ = ['draw_kept_tokens', 'draw_pruning', 'plot_training']

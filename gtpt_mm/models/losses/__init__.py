"""Losses, one family per file."""

from .global_perceived_loss import Global2LocalLoss, GlobalPerceivedLoss
from .masked_heatmap_loss import MaskedHeatmapLoss

__all__ = ['Global2LocalLoss', 'GlobalPerceivedLoss', 'MaskedHeatmapLoss']

"""Losses, one family per file."""

from .attention_guidance import AttentionGuidanceLoss
from .global_perceived_loss import Global2LocalLoss, GlobalPerceivedLoss
from .masked_heatmap_loss import MaskedHeatmapLoss

__all__ = [
    'AttentionGuidanceLoss',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'MaskedHeatmapLoss',
]

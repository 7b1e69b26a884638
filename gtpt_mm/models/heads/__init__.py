"""Heads: tokens or features to keypoints."""

from .gtpt_head import GTPTHead
from .heatmap_variants import FrozenPredictorHead, PixelShuffleHead

__all__ = ['FrozenPredictorHead', 'GTPTHead', 'PixelShuffleHead']

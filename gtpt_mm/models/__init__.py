"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, EfficientViT, HEViTPose, ViTPose
from .distillers import DistilledStudent, KnowledgeTokenTeacher
from .heads import FrozenPredictorHead, GTPTHead, PixelShuffleHead
from .losses import (
    Global2LocalLoss,
    GlobalPerceivedLoss,
    MaskedHeatmapLoss,
)
from .prepare import prepare_for_inference

__all__ = [
    'DistilledStudent',
    'EfficientViT',
    'FrozenPredictorHead',
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'HEViTPose',
    'KnowledgeTokenTeacher',
    'MaskedHeatmapLoss',
    'PixelShuffleHead',
    'ViTPose',
    'prepare_for_inference',
]

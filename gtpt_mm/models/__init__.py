"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, EfficientViT, HEViTPose, ViTPose
from .heads import (
    FrozenPredictorHead,
    GroupPoseHead,
    GTPTHead,
    PixelShuffleHead,
)
from .losses import Global2LocalLoss, GlobalPerceivedLoss
from .prepare import prepare_for_inference
from .task_modules import BatchHungarianAssigner, KeypointL1Cost, OKSCost

__all__ = [
    'BatchHungarianAssigner',
    'EfficientViT',
    'FrozenPredictorHead',
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'GroupPoseHead',
    'HEViTPose',
    'KeypointL1Cost',
    'OKSCost',
    'PixelShuffleHead',
    'ViTPose',
    'prepare_for_inference',
]

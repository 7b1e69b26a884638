"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, EfficientViT, HEViTPose, ViTPose
from .heads import (
    FrozenPredictorHead,
    GTPTHead,
    MultiDatasetHead,
    PixelShuffleHead,
)
from .losses import Global2LocalLoss, GlobalPerceivedLoss
from .pose_estimators import MultiDatasetPoseEstimator
from .prepare import prepare_for_inference

__all__ = [
    'EfficientViT',
    'FrozenPredictorHead',
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'HEViTPose',
    'MultiDatasetHead',
    'MultiDatasetPoseEstimator',
    'PixelShuffleHead',
    'ViTPose',
    'prepare_for_inference',
]

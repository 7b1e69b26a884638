"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, EfficientViT, HEViTPose, ViTPose
from .distillers import DistilledStudent, KnowledgeTokenTeacher
from .heads import (
    FrozenPredictorHead,
    GTPTHead,
    MultiDatasetHead,
    PixelShuffleHead,
)
from .losses import (
    Global2LocalLoss,
    GlobalPerceivedLoss,
    MaskedHeatmapLoss,
)
from .pose_estimators import MultiDatasetPoseEstimator
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
    'MultiDatasetHead',
    'MultiDatasetPoseEstimator',
    'PixelShuffleHead',
    'ViTPose',
    'prepare_for_inference',
]

"""Networks and losses; importing them registers them in mmpose."""

from .backbones import (
    GTPT,
    EfficientViT,
    HEViTPose,
    OfficialSwin,
    ViTPose,
)
from .distillers import KnowledgeTokenDistiller, ViTPoseDistiller
from .heads import (
    FrozenPredictorHead,
    GroupPoseDecoder,
    GroupPoseHead,
    GTPTHead,
    MultiDatasetHead,
    PixelShuffleHead,
)
from .losses import (
    AttentionGuidanceLoss,
    Global2LocalLoss,
    GlobalPerceivedLoss,
    MaskedHeatmapLoss,
)
from .pose_estimators import GuidedGTPTEstimator, MultiDatasetPoseEstimator
from .task_modules import BatchHungarianAssigner, KeypointL1Cost, OKSCost

__all__ = [
    'AttentionGuidanceLoss',
    'BatchHungarianAssigner',
    'EfficientViT',
    'FrozenPredictorHead',
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'GroupPoseDecoder',
    'GroupPoseHead',
    'GuidedGTPTEstimator',
    'HEViTPose',
    'KeypointL1Cost',
    'KnowledgeTokenDistiller',
    'MaskedHeatmapLoss',
    'MultiDatasetHead',
    'MultiDatasetPoseEstimator',
    'OKSCost',
    'OfficialSwin',
    'PixelShuffleHead',
    'ViTPose',
    'ViTPoseDistiller',
]

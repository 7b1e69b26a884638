"""Networks and losses; importing them registers them in mmpose."""

from .backbones import (
    GTPT,
    EfficientViT,
    HEViTPose,
    OfficialSwin,
    ViTPose,
)
from .distillers import DistilledStudent, KnowledgeTokenTeacher
from .heads import (
    FrozenPredictorHead,
    GroupPoseDecoder,
    GroupPoseHead,
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
from .task_modules import BatchHungarianAssigner, KeypointL1Cost, OKSCost

__all__ = [
    'BatchHungarianAssigner',
    'DistilledStudent',
    'EfficientViT',
    'FrozenPredictorHead',
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'GroupPoseDecoder',
    'GroupPoseHead',
    'HEViTPose',
    'KeypointL1Cost',
    'KnowledgeTokenTeacher',
    'MaskedHeatmapLoss',
    'MultiDatasetHead',
    'MultiDatasetPoseEstimator',
    'OKSCost',
    'OfficialSwin',
    'PixelShuffleHead',
    'ViTPose',
]

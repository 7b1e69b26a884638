"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, ViTPose
from .heads import FrozenPredictorHead, GTPTHead, PixelShuffleHead
from .losses import Global2LocalLoss, GlobalPerceivedLoss
from .prepare import prepare_for_inference

__all__ = [
    'FrozenPredictorHead',
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'PixelShuffleHead',
    'ViTPose',
    'prepare_for_inference',
]

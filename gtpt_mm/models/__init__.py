"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, EfficientViT, HEViTPose
from .heads import GTPTHead
from .losses import Global2LocalLoss, GlobalPerceivedLoss
from .prepare import prepare_for_inference

__all__ = [
    'EfficientViT',
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'HEViTPose',
    'prepare_for_inference',
]

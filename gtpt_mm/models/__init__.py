"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, EfficientViT, HEViTPose
from .heads import GTPTHead
from .losses import GlobalPerceivedLoss
from .prepare import prepare_for_inference

__all__ = [
    'GTPT',
    'GTPTHead',
    'EfficientViT',
    'GlobalPerceivedLoss',
    'HEViTPose',
    'prepare_for_inference',
]

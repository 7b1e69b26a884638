"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT, ViTPose
from .heads import GTPTHead
from .losses import Global2LocalLoss, GlobalPerceivedLoss
from .prepare import prepare_for_inference

__all__ = [
    'GTPT',
    'GTPTHead',
    'Global2LocalLoss',
    'GlobalPerceivedLoss',
    'ViTPose',
    'prepare_for_inference',
]

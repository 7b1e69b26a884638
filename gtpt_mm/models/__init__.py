"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT
from .heads import GTPTHead
from .losses import GlobalPerceivedLoss
from .prepare import prepare_for_inference

__all__ = ['GTPT', 'GTPTHead', 'GlobalPerceivedLoss', 'prepare_for_inference']

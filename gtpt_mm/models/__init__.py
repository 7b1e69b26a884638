"""Networks and losses; importing them registers them in mmpose."""

from .backbones import GTPT
from .heads import GTPTHead
from .losses import GlobalPerceivedLoss

__all__ = ['GTPT', 'GTPTHead', 'GlobalPerceivedLoss']

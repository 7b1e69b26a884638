"""One family of losses per file."""

from .global_perceived_loss import Global2LocalLoss, GlobalPerceivedLoss

__all__ = ['Global2LocalLoss', 'GlobalPerceivedLoss']

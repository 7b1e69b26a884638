"""One file per method."""

from .gtpt import GTPT, KeptTokens
from .vitpose import ViTPose

__all__ = ['GTPT', 'KeptTokens', 'ViTPose']

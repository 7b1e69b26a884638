"""One file per method."""

from .efficientvit import EfficientViT
from .gtpt import GTPT, KeptTokens
from .hevitpose import HEViTPose
from .vitpose import ViTPose

__all__ = ['GTPT', 'EfficientViT', 'HEViTPose', 'KeptTokens', 'ViTPose']

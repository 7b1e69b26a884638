"""One file per method."""

from .efficientvit import EfficientViT
from .gtpt import GTPT, KeptTokens, Step
from .hevitpose import HEViTPose
from .official_swin import OfficialSwin
from .vitpose import ViTPose

__all__ = [
    'GTPT',
    'EfficientViT',
    'HEViTPose',
    'KeptTokens',
    'OfficialSwin',
    'Step',
    'ViTPose',
]

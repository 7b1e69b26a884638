"""Backbones, one file per method."""

from .efficientvit import EfficientViT
from .gtpt import GTPT
from .gtpt_init import GTPTShortRun
from .gtpt_plan import KeptTokens, Step
from .hevitpose import HEViTPose
from .official_swin import OfficialSwin
from .vitpose import ViTPose

__all__ = [
    'GTPT',
    'GTPTShortRun',
    'EfficientViT',
    'HEViTPose',
    'KeptTokens',
    'OfficialSwin',
    'Step',
    'ViTPose',
]

"""Hooks of the training loop."""

from .broadcast_buffers import BroadcastBuffersHook
from .cosine_ema import CosineEMA, CosineEMAHook
from .curriculum import CurriculumHook
from .freeze import FreezeHook
from .init_from import InitFromHook
from .pretrained_file import PretrainedFileHook

__all__ = [
    'BroadcastBuffersHook',
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'FreezeHook',
    'InitFromHook',
    'PretrainedFileHook',
]

"""Hooks of the training loop."""

from .cosine_ema import CosineEMA, CosineEMAHook
from .curriculum import CurriculumHook
from .freeze import FreezeHook
from .init_from import InitFromHook
from .pretrained_file import PretrainedFileHook
from .schedule_length import ScheduleLengthHook

__all__ = [
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'FreezeHook',
    'InitFromHook',
    'PretrainedFileHook',
    'ScheduleLengthHook',
]

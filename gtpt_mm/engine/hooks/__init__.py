"""Hooks of the training loop."""

from .cosine_ema import CosineEMA, CosineEMAHook
from .curriculum import CurriculumHook
from .finite_loss import FiniteLossHook
from .freeze import FreezeHook
from .init_from import InitFromHook
from .pretrained_file import PretrainedFileHook
from .schedule_length import ScheduleLengthHook

__all__ = [
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'FiniteLossHook',
    'FreezeHook',
    'InitFromHook',
    'PretrainedFileHook',
    'ScheduleLengthHook',
]

"""Hooks of the training loop."""

from .cosine_ema import CosineEMA, CosineEMAHook
from .curriculum import CurriculumHook
from .init_from import InitFromHook
from .pretrained_file import PretrainedFileHook

__all__ = [
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'InitFromHook',
    'PretrainedFileHook',
]

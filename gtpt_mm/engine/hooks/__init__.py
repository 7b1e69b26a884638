"""Hooks of the training loop."""

from .cosine_ema import CosineEMA, CosineEMAHook
from .curriculum import CurriculumHook

__all__ = ['CosineEMA', 'CosineEMAHook', 'CurriculumHook']

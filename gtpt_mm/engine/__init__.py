"""What runs beside the model: hooks and optimizer wrappers."""

from .hooks import CosineEMA, CosineEMAHook, CurriculumHook

__all__ = ['CosineEMA', 'CosineEMAHook', 'CurriculumHook']

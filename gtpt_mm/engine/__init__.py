"""What runs beside the model: hooks and optimizer wrappers."""

from .hooks import (
    CosineEMA,
    CosineEMAHook,
    CurriculumHook,
    PretrainedFileHook,
)
from .optim_wrappers import BackboneLayerDecayConstructor

__all__ = [
    'BackboneLayerDecayConstructor',
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'PretrainedFileHook',
]

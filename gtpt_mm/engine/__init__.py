"""What runs beside the model: hooks and optimizer wrappers."""

from .hooks import CosineEMA, CosineEMAHook, CurriculumHook
from .optim_wrappers import BackboneLayerDecayConstructor

__all__ = [
    'BackboneLayerDecayConstructor',
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
]

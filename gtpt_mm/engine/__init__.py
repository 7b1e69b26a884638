"""What runs beside the model: hooks, optimizer wrappers, initialisation."""

from .hooks import (
    CosineEMA,
    CosineEMAHook,
    CurriculumHook,
    InitFromHook,
    PretrainedFileHook,
)
from .mae_pretrained import MAEPretrained
from .optim_wrappers import BackboneLayerDecayConstructor

__all__ = [
    'BackboneLayerDecayConstructor',
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'InitFromHook',
    'MAEPretrained',
    'PretrainedFileHook',
]

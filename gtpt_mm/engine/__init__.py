"""Parts of a training: hooks, optimizer wrappers, initialisation."""

from .hooks import (
    BroadcastBuffersHook,
    CosineEMA,
    CosineEMAHook,
    CurriculumHook,
    FreezeHook,
    InitFromHook,
    PretrainedFileHook,
)
from .mae_pretrained import MAEPretrained
from .optim_wrappers import BackboneLayerDecayOptimWrapperConstructor

__all__ = [
    'BackboneLayerDecayOptimWrapperConstructor',
    'BroadcastBuffersHook',
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'FreezeHook',
    'InitFromHook',
    'MAEPretrained',
    'PretrainedFileHook',
]

"""Parts of a training: hooks, optimizer wrappers, initialisation."""

from .hooks import (
    BroadcastBuffersHook,
    CosineEMA,
    CosineEMAHook,
    CurriculumHook,
    FiniteLossHook,
    FreezeHook,
    InitFromHook,
    PretrainedFileHook,
    ScheduleLengthHook,
)
from .mae_pretrained import MAEPretrained
from .optim_wrappers import BackboneLayerDecayOptimWrapperConstructor

__all__ = [
    'BackboneLayerDecayOptimWrapperConstructor',
    'BroadcastBuffersHook',
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'FiniteLossHook',
    'FreezeHook',
    'InitFromHook',
    'MAEPretrained',
    'PretrainedFileHook',
    'ScheduleLengthHook',
]

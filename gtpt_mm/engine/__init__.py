"""Parts of a training: hooks, optimizer wrappers, initialisation."""

from . import config_check as _config_check  # noqa: F401  (it registers)
from .hooks import (
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
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'FreezeHook',
    'InitFromHook',
    'MAEPretrained',
    'PretrainedFileHook',
]

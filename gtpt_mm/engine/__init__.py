"""Parts of a training: hooks, optimizer wrappers, initialisation."""

from . import config_check as _config_check  # noqa: F401  (it registers)
from .hooks import (
    BroadcastBuffersHook,
    CosineEMA,
    CosineEMAHook,
    CurriculumHook,
    FiniteLossHook,
    FreezeHook,
    InitFromHook,
    KeypointTransferHook,
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
    'KeypointTransferHook',
    'MAEPretrained',
    'PretrainedFileHook',
    'ScheduleLengthHook',
]

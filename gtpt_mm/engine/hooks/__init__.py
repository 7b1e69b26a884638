"""Hooks of the training loop."""

from .broadcast_buffers import BroadcastBuffersHook
from .cosine_ema import CosineEMA, CosineEMAHook
from .curriculum import CurriculumHook
from .finite_loss import FiniteLossHook
from .freeze import FreezeHook
from .init_from import InitFromHook
from .keypoint_transfer import KeypointTransferHook
from .pretrained_file import PretrainedFileHook
from .schedule_length import ScheduleLengthHook

__all__ = [
    'BroadcastBuffersHook',
    'CosineEMA',
    'CosineEMAHook',
    'CurriculumHook',
    'FiniteLossHook',
    'FreezeHook',
    'InitFromHook',
    'KeypointTransferHook',
    'PretrainedFileHook',
    'ScheduleLengthHook',
]

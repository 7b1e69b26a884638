"""Hooks of the training loop."""

from .cosine_ema import CosineEMA, CosineEMAHook

__all__ = ['CosineEMA', 'CosineEMAHook']

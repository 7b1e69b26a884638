"""Datasets, their transforms, and the sample-data generator."""

from .transforms import ClippedRandomBBoxTransform

__all__ = ['ClippedRandomBBoxTransform']

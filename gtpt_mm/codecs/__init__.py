"""Keypoints to training targets and back; numpy only."""

from .image_associative_embedding import ImageAssociativeEmbedding
from .unrounded_simcc import UnroundedSimCCLabel

__all__ = ['ImageAssociativeEmbedding', 'UnroundedSimCCLabel']

"""Keypoints to training targets and back; numpy only."""

from .unrounded_simcc import UnroundedSimCCLabel

__all__ = ['UnroundedSimCCLabel']

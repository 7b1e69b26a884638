"""Pose estimators: several datasets, guided attention."""

from .guided_gtpt import GuidedGTPTEstimator
from .multi_dataset import MultiDatasetPoseEstimator

__all__ = ['GuidedGTPTEstimator', 'MultiDatasetPoseEstimator']

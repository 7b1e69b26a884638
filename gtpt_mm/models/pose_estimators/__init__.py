"""Pose estimators for inputs that those of mmpose do not pass on."""

from .multi_dataset import MultiDatasetPoseEstimator

__all__ = ['MultiDatasetPoseEstimator']

"""Pose estimators, where mmpose's own cannot carry an input."""

from .multi_dataset import MultiDatasetPoseEstimator

__all__ = ['MultiDatasetPoseEstimator']

"""Pose estimators that pass the dataset of each sample to the model."""

from .multi_dataset import MultiDatasetPoseEstimator

__all__ = ['MultiDatasetPoseEstimator']

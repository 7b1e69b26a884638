"""Matching of predictions with instances, for the end-to-end models."""

from .batch_hungarian_assigner import BatchHungarianAssigner
from .keypoint_costs import KeypointL1Cost, OKSCost

__all__ = ['BatchHungarianAssigner', 'KeypointL1Cost', 'OKSCost']

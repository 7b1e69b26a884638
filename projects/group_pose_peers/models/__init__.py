"""Peers of Group Pose behind mmpose's interface."""

from .edpose import TimedEDPose

__all__ = ['TimedEDPose']

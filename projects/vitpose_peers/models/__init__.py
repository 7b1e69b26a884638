"""Peers of ViTPose behind mmpose's interface."""

from .huggingface import HuggingFaceVitPose

__all__ = ['HuggingFaceVitPose']

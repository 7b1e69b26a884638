"""Heads: tokens or features to keypoints."""

from .gtpt_head import GTPTHead

__all__ = ['GTPTHead']

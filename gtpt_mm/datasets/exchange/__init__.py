"""Annotated sets of other tools: read, written, split, described."""

from .keypoint_set import Instance, KeypointSet, Picture

__all__ = ['Instance', 'KeypointSet', 'Picture']

"""Annotated sets of other tools: read, written, split, described."""

from .folder import OwnSet, read_folder, write_folder
from .formats import FORMATS, read_set, write_set
from .keypoint_set import Instance, KeypointSet, Picture
from .split import split

__all__ = [
    'FORMATS',
    'Instance',
    'KeypointSet',
    'OwnSet',
    'Picture',
    'read_folder',
    'read_set',
    'split',
    'write_folder',
    'write_set',
]

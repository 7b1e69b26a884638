"""Placeholder."""

from pathlib import Path

from .keypoint_set import KeypointSet

SOURCES = 'yolo'


def matches(path: Path) -> bool:
    """Return False."""
    return False


def read(
    path: Path, images: Path | None = None, category: str | None = None
) -> KeypointSet:
    """Raise."""
    raise NotImplementedError

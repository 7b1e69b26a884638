"""The error of videos, and FFmpeg's errors in words."""

import av


class VideoError(ValueError):
    """A video that cannot be read or written; the message says which."""


def describe_error(error: Exception, timeout: float = 0.0) -> str:
    """Return FFmpeg's error in words that name a cause."""
    if isinstance(error, av.error.ExitError | TimeoutError):
        return f'no data within {timeout:g} s'
    if isinstance(error, av.error.InvalidDataError):
        return 'torn, empty or not a video: its data cannot be parsed'
    return getattr(error, 'strerror', None) or str(error)

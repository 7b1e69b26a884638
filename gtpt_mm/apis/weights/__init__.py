"""Public weights: where they are, and how they come into the cache."""

from .public import DRIVES, PUBLIC, Drive, PublicWeights

__all__ = ['DRIVES', 'PUBLIC', 'Drive', 'PublicWeights']

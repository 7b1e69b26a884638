"""One file per method."""

from .gtpt import GTPT, KeptTokens

__all__ = ['GTPT', 'KeptTokens']

"""Public weights: their sources and their cache."""

from .cache import (
    CACHE_VARIABLE,
    HASH,
    VARIABLE,
    StoredWeights,
    cache_folder,
    explain,
    get_weights,
)
from .fetch import FetchError, NotThereError
from .public import DRIVES, PUBLIC, Drive, PublicWeights

__all__ = [
    'CACHE_VARIABLE',
    'DRIVES',
    'HASH',
    'PUBLIC',
    'VARIABLE',
    'Drive',
    'FetchError',
    'NotThereError',
    'PublicWeights',
    'StoredWeights',
    'cache_folder',
    'explain',
    'get_weights',
]

"""``torch.load(weights_only=True)`` with more types, for torch before 2.5.

Those versions read with a module of theirs that knows a fixed list of types,
which mmengine's checkpoints exceed. This module can take its place.
"""

import _compat_pickle
import codecs
import collections
import contextlib
import pickle
import sys
from collections.abc import Iterator
from typing import IO, Any

import torch


class RestrictedUnpickler(pickle._Unpickler):
    """Build tensors and the types of ``allowed``, and nothing else.

    The unpickler that is written in C does not let single operations be
    refused; this one is in Python.
    """

    #: By module and name.
    allowed: dict[str, Any] = {}
    dispatch: dict[int, Any] = dict(pickle._Unpickler.dispatch)
    stack: list

    def find_class(self, module: str, name: str) -> Any:
        """Return a type or function that a pickle may name.

        Raises:
            UnpicklingError: For any other.
        """
        module, name = _compat_pickle.NAME_MAPPING.get(
            (module, name),
            (_compat_pickle.IMPORT_MAPPING.get(module, module), name),
        )
        asked = f'{module}.{name}'
        if asked not in self.allowed:
            raise pickle.UnpicklingError(
                f'Unsupported global: GLOBAL {asked} was not an allowed '
                'global by default'
            )
        return self.allowed[asked]

    def load_build(self) -> None:
        """Set the state of an object; never attributes of a class.

        Raises:
            UnpicklingError: If the object is not of an allowed type.
        """
        kind = type(self.stack[-2])
        if kind not in self.allowed.values():
            raise pickle.UnpicklingError(
                f'Unsupported state: of a {kind.__module__}.{kind.__name__}'
            )
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def install(types: list) -> None:
    """Let torch read these types, besides tensors, with ``weights_only``."""
    from torch import _weights_only_unpickler as original

    numbers = [x for x in vars(torch).values() if isinstance(x, torch.dtype)]
    RestrictedUnpickler.allowed = {
        **original._get_allowed_globals(),
        **{str(x): x for x in numbers},
        # As torch >= 2.5 allows: schedulers have counters, numpy's numbers
        # are written as texts.
        'collections.Counter': collections.Counter,
        'torch.device': torch.device,
        '_codecs.encode': codecs.encode,
        **_by_name(types),
    }
    torch.serialization._weights_only_unpickler = sys.modules[__name__]


@contextlib.contextmanager
def safe_globals(types: list) -> Iterator[None]:
    """Allow more types for a while, as torch's function of the name does."""
    before = RestrictedUnpickler.allowed
    RestrictedUnpickler.allowed = {**before, **_by_name(types)}
    try:
        yield
    finally:
        RestrictedUnpickler.allowed = before


def _by_name(types: list) -> dict[str, Any]:
    return {f'{x.__module__}.{x.__qualname__}': x for x in types}


# ------------------------------------------- what torch asks of such a module

Unpickler = RestrictedUnpickler


def load(file: IO[bytes], **options: Any) -> Any:
    """Read one object, as ``pickle.load`` does."""
    return Unpickler(file, **options).load()

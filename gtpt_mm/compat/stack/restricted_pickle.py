"""``torch.load(weights_only=True)`` with more types, for torch before 2.14.

torch reads with a module of its own. Before 2.4 that knows a fixed list of
types, which mmengine's checkpoints exceed. This module can take its place.
"""

import _compat_pickle
import codecs
import collections
import contextlib
import importlib
import pickle
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import IO, Any

import numpy as np
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
        if asked in self.allowed:
            return self.allowed[asked]
        if asked in (declared := _declared_safe()):
            return declared[asked]
        raise self.refusal(f'Unsupported global: GLOBAL {asked} was not')

    def load_build(self) -> None:
        """Set the state of an object; never attributes of a class.

        A type of numbers gets no fields: a file could lay objects over the
        bytes of an array.

        Raises:
            UnpicklingError: If the object may not have such a state.
        """
        inst, state = self.stack[-2:]
        kind = type(inst)
        if isinstance(inst, np.dtype):
            is_safe = tuple(state[2:5]) == (None, None, None)
        else:
            is_safe = (
                kind in self.allowed.values()
                or kind in _declared_safe().values()
            )
        if not is_safe:
            name = f'{kind.__module__}.{kind.__qualname__}'
            raise self.refusal(f'Unsupported state: of a {name}')
        super().load_build()

    def refusal(self, words: str) -> pickle.UnpicklingError:
        """Return the error of this unpickler."""
        return pickle.UnpicklingError(words)

    dispatch[pickle.BUILD[0]] = load_build


def install(types: list) -> None:
    """Let torch read these types, besides tensors, with ``weights_only``."""
    numbers = [x for x in vars(torch).values() if isinstance(x, torch.dtype)]
    RestrictedUnpickler.allowed = {
        **_torch_module()._get_allowed_globals(),
        **{str(x): x for x in numbers},
        # As torch >= 2.5 allows: schedulers have counters, numpy's numbers
        # are written as texts.
        'collections.Counter': collections.Counter,
        'torch.device': torch.device,
        '_codecs.encode': codecs.encode,
        'builtins.set': set,
        'builtins.complex': complex,
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


def __getattr__(name: str) -> Any:
    """Return all else of torch's module, such as declared types."""
    return getattr(_torch_module(), name)


def _torch_module() -> ModuleType:
    return importlib.import_module('torch._weights_only_unpickler')


def _declared_safe() -> dict[str, Any]:
    """Return what torch >= 2.4 was told by ``add_safe_globals``."""
    found: list = getattr(torch.serialization, 'get_safe_globals', list)()
    pairs = {x[1]: x[0] for x in found if isinstance(x, tuple)}
    return pairs | _by_name([x for x in found if not isinstance(x, tuple)])

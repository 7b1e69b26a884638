"""Load mmengine's checkpoints with ``weights_only`` of torch.

Broken: since torch 2.6 ``torch.load`` builds only tensors and plain values
unless told otherwise, but mmengine <= 0.10.7 writes numpy scalars and its own
``HistoryBuffer`` into every checkpoint. Testing with and resuming from a file
that ``mim train`` has just written fails.

Here: exactly those types are declared safe, under the names that numpy 1 and
numpy 2 give them. What a file could misuse is replaced: ``getattr``, for which
a ``HistoryBuffer`` asks, and ``numpy.ndarray`` do nothing, ``numpy.dtype``
knows numbers only, ``bytes`` returns empty ones, and a ``HistoryBuffer`` keeps
the statistics of its class. Everything else is still refused, and nothing in a
refused file is run.

torch < 2.6 loads without that restriction by default; for mmengine's loader it
is turned on. Before torch 2.14 :mod:`.restricted_pickle` takes the place of
its unpickler: torch < 2.4 cannot be told which types are safe, and that of 2.6
does not read the stand-ins.

Can go: when mmengine writes plain numbers into its checkpoints.
"""

import _compat_pickle
import contextlib
import functools
import importlib
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from . import restricted_pickle

NUMBERS = '?bBhHiIlLqQefdg'  # numpy's letters: bool, integers, floats
STATISTICS = ('min', 'max', 'mean', 'current')
#: A variable that turns the restriction on.
FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
RESTRICTED_BY_DEFAULT = (2, 6)
#: From here on torch's own unpickler is used; it was tried with 2.14 and 2.15.
DECLARES_STAND_INS = (2, 14)


class UnsafeCheckpointError(pickle.UnpicklingError, ValueError):
    """A checkpoint holds an object that must not be built, or is damaged."""


def missing() -> str:
    """Say what is missing."""
    return (
        'torch.load refuses the numpy numbers and the log history that '
        'mmengine writes into checkpoints'
    )


def repair() -> None:
    """Declare mmengine's harmless types safe and explain refusals."""
    from mmengine.runner import CheckpointLoader

    _explain_refusals(CheckpointLoader)
    types = harmless_types()
    if torch_version() >= DECLARES_STAND_INS:
        torch.serialization.add_safe_globals(types)
    else:
        restricted_pickle.install(types)


def allow_types(types: list) -> contextlib.AbstractContextManager:
    """Let ``weights_only`` build more types for a while."""
    if torch_version() >= DECLARES_STAND_INS:
        return torch.serialization.safe_globals(types)
    return restricted_pickle.safe_globals(types)


def torch_version() -> tuple[int, int]:
    """Return the first two numbers of torch's version."""
    major, minor = torch.__version__.split('.')[:2]
    return int(major), int(minor)


def harmless_types() -> list:
    """Return what mmengine's checkpoints need, by the names in a pickle.

    None of it hands a class, a function or memory of another type to a file:
    getattr and the class of arrays are names that do nothing.
    """
    multiarray = import_numpy_core('multiarray')

    def reconstruct(*args: Any) -> np.ndarray:
        return np.empty(0, 'i1')  # its state is set next

    builders = [
        _named(function, f'{package}.multiarray', name)
        for package in ('numpy.core', 'numpy._core')
        for name, function in (
            ('_reconstruct', reconstruct),
            ('scalar', multiarray.scalar),
        )
    ]

    def no_bytes() -> bytes:
        return b''

    return [
        SavedHistory,
        _named(_statistic, 'builtins', 'getattr'),
        # For an empty array, such as the links of a skeleton without any.
        _named(no_bytes, 'builtins', 'bytes'),
        _named(_nothing, 'numpy', 'ndarray'),
        _named(_number_type, 'numpy', 'dtype'),
        *builders,
        *(StateOf(type(np.dtype(letter))) for letter in NUMBERS),
        StateOf(np.ndarray),
    ]


def _nothing(*args: Any) -> None:
    """Stand for a class of which a file needs only the name."""


def _statistic(owner: object, name: str) -> None:
    """Stand for ``getattr``, with which a history names its statistics."""
    if owner is not SavedHistory or name not in STATISTICS:
        raise _refusal(f'builtins.getattr of {name!r}')


def _number_type(name: str, *args: Any) -> np.dtype:
    """Return numpy's own instance of a type of numbers.

    numpy ignores a state that is set on it. On a copy, a file could lay
    pointers over the bytes of an array.
    """
    dtype = np.dtype(name) if isinstance(name, str) else None
    if dtype is None or dtype.char not in NUMBERS or not dtype.isnative:
        raise _refusal(f'numpy.dtype({name!r})')
    return np.dtype(dtype.char)


def _refusal(name: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f'Unsupported state: of a {name}')


class SavedHistory(HistoryBuffer):
    """The log history of a checkpoint; becomes a ``HistoryBuffer``.

    mmengine's class would take its statistics, which all instances share,
    from the file.
    """

    def __setstate__(self, state: dict) -> None:
        """Take two arrays of numbers and a length, and nothing else."""
        logs, counts = state.get('_log_history'), state.get('_count_history')
        for array in (logs, counts):
            if not isinstance(array, np.ndarray) or array.dtype.hasobject:
                raise _refusal(f'{__name__}.HistoryBuffer without numbers')
        self.__class__ = HistoryBuffer  # type: ignore[assignment]
        HistoryBuffer.__init__(self, logs, counts, int(state['max_length']))


SavedHistory.__module__ = HistoryBuffer.__module__
SavedHistory.__name__ = SavedHistory.__qualname__ = HistoryBuffer.__name__


class StateOf:
    """Equal to a type whose objects may get a state, but no name for it.

    Its hash is its own: a set may hold the type as well.

    Args:
        kind: The type.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.__module__, self.__qualname__ = 'state of', kind.__name__

    def __eq__(self, other: object) -> bool:
        return other is self.kind

    __hash__ = object.__hash__


def import_numpy_core(module: str) -> ModuleType:
    """Import a module of numpy's core, which numpy 2 renamed."""
    is_renamed = np.lib.NumpyVersion(np.__version__) >= '2.0.0'
    core = 'numpy._core' if is_renamed else 'numpy.core'
    return importlib.import_module(f'{core}.{module}')


def _named(function: Callable, module: str, name: str) -> Callable:
    """Return the function under the name that a pickle asks for."""

    def stand_in(*args: Any) -> Any:
        return function(*args)

    stand_in.__module__ = module
    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in


def _explain_refusals(loader: Any) -> None:
    """Make mmengine's loader say what was refused and what to do."""
    original = loader.load_checkpoint.__func__

    @functools.wraps(original)
    def load_checkpoint(
        cls: type, filename: str, *args: Any, **options: Any
    ) -> Any:
        try:
            with _weights_only():
                return original(cls, filename, *args, **options)
        except pickle.UnpicklingError as error:
            # Not chained: torch's text advises switching the check off.
            raise UnsafeCheckpointError(
                explain_refusal(str(filename), str(error))
            ) from None

    loader.load_checkpoint = classmethod(load_checkpoint)


def explain_refusal(filename: str, error: str) -> str:
    """Say why a file was not loaded, without torch's unsafe advice.

    Args:
        filename: The file.
        error: Text of torch's error.
    """
    found = re.search(
        r'GLOBAL (\S+)(?: was not| whose)|unrecognized function ([^\n]+)'
        r'|Unsupported state: of a (\S+)',
        error,
    )
    if not found:
        reason = error.rpartition('WeightsUnpickler error:')[2].strip()
        return (
            f'{filename} could not be read as a checkpoint; is it complete, '
            'and was it written by torch.save? torch says: '
            f'{reason.partition(chr(10))[0]}'
        )
    kind = found[1] or found[2] or found[3]
    advice = (
        f'{filename} was not loaded: it holds {kind}, and a file that may '
        'build such objects could also run commands on this computer. Only '
        "tensors, plain Python values, numpy numbers and mmengine's log "
        'history are read. Ask for a file with the weights alone. If you '
        'trust whoever made this one, write such a file yourself: '
        'python -c "import torch; '
        f"c = torch.load({filename!r}, map_location='cpu', "
        "weights_only=False); torch.save({'state_dict': c.get('state_dict', "
        "c)}, 'weights.pth')\"."
    )
    package = kind.split('.')[0]
    python_2 = {module for module, _ in _compat_pickle.NAME_MAPPING}
    python_2.update(_compat_pickle.IMPORT_MAPPING)
    of_python = {kind, *python_2, *sys.stdlib_module_names}
    can_declare = hasattr(torch.serialization, 'add_safe_globals')
    if package in of_python or not can_declare:
        return advice  # no type of the user's, or none can be declared
    return (
        f'{advice} If the type is your own, declare it in a module of your '
        f'custom_imports: torch.serialization.add_safe_globals([{kind}]).'
    )


@contextlib.contextmanager
def _weights_only() -> Iterator[None]:
    """Turn on the restriction if torch does not by default."""
    if torch_version() >= RESTRICTED_BY_DEFAULT or FORCE in os.environ:
        yield
    else:
        os.environ[FORCE] = '1'
        try:
            yield
        finally:
            del os.environ[FORCE]

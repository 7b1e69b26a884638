"""Read data files without running code in them.

Broken: ``mmengine.load`` (<= 0.10.7) unpickles whatever ends with ``.pkl`` or
``.pickle`` and builds any Python object from ``.yaml``: a ``bbox_file`` or a
file of annotations can run commands. ``H36MWholeBodyDataset`` of mmpose
(<= 1.3.2) lets numpy unpickle.

Here: pickles may hold only numbers, texts, containers, numpy arrays and
tensors, as cameras and dumped results do; annotations and boxes may not be
pickles at all. YAML gives plain values and tuples. Files of numpy are checked
before the dataset reads them.

Can go: when mmengine and mmpose read data without pickle.
"""

import builtins
import collections
import functools
import importlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import yaml
from mmengine.fileio import get_local_path
from mmengine.fileio import io as mmengine_io
from mmengine.fileio.handlers import PickleHandler, YamlHandler
from xtcocotools.coco import COCO

from ..replacement import replace_everywhere
from ..stack.restricted_pickle import RestrictedUnpickler
from ..stack.torch_api import (
    UnsafeCheckpointError,
    harmless_types,
    import_numpy_core,
)

SUFFIXES = ('.pkl', '.pickle')
#: How a pickle begins, since protocol 2.
PICKLE = b'\x80'
#: Modules whose ``load`` reads files of annotations or boxes.
ANNOTATIONS = (
    'mmengine.dataset.base_dataset',
    'mmpose.datasets.datasets.base.base_coco_style_dataset',
    'mmpose.datasets.datasets.body.posetrack18_video_dataset',
    'mmpose.evaluation.metrics.coco_metric',
    'mmpose.evaluation.metrics.posetrack18_metric',
)
#: Builtins that a pickle may build.
PLAIN = (
    'bool bytearray bytes complex dict float frozenset int list range set '
    'slice str tuple'
)


class UnsafeFileError(UnsafeCheckpointError):
    """A data file holds an object that must not be built from a file."""


def missing() -> str:
    """Say what is missing."""
    return 'mmengine.load runs whatever a pickle or a YAML file asks for'


def repair() -> None:
    """Restrict pickle and YAML; refuse pickles as annotations."""
    PickleHandler.load_from_fileobj = _load_pickle
    YamlHandler.load_from_fileobj = _load_yaml
    replace_everywhere(mmengine_io.load, name_file(mmengine_io.load))
    for name in ANNOTATIONS:
        module: Any = importlib.import_module(name)
        module.load = refuse_pickles(module.load)
    from mmpose.datasets.datasets.wholebody3d import H36MWholeBodyDataset

    COCO.__init__ = refuse_pickled_annotations(COCO.__init__)
    H36MWholeBodyDataset._load_ann_file = check_numpy_file(
        H36MWholeBodyDataset._load_ann_file
    )


# -------------------------------------------------------------------- pickle


def _load_pickle(self: PickleHandler, file: IO[bytes], **options: Any) -> Any:
    return DataUnpickler(file, **options).load()


def name_file(load: Callable) -> Callable:
    """Return mmengine's ``load``, naming the file that it refuses."""

    @functools.wraps(load)
    def wrapper(file: Any, *args: Any, **options: Any) -> Any:
        try:
            return load(file, *args, **options)
        except UnsafeFileError as error:
            raise UnsafeFileError(f'{file} {error}') from None

    return wrapper


def refuse_pickles(load: Callable) -> Callable:
    """Return mmengine's ``load``, for annotations: not from a pickle."""

    @functools.wraps(load)
    def wrapper(
        file: Any, file_format: str | None = None, *args: Any, **options: Any
    ) -> Any:
        suffix = f'.{file_format}' if file_format else Path(str(file)).suffix
        if suffix.lower() in SUFFIXES:
            raise _pickled(file)
        return load(file, file_format, *args, **options)

    return wrapper


def refuse_pickled_annotations(read: Callable) -> Callable:
    """Return the constructor of COCO, with a clear error for a pickle."""

    @functools.wraps(read)
    def wrapper(
        self: COCO, annotation_file: Any = None, *args: Any, **options: Any
    ) -> None:
        if annotation_file:
            refuse_pickle(annotation_file)
        read(self, annotation_file, *args, **options)

    return wrapper


def refuse_pickle(path: str | Path) -> None:
    """Raise if a file is a pickle; JSON would only report bad UTF-8."""
    if Path(path).is_file():
        with open(path, 'rb') as file:
            begins_so = file.read(1) == PICKLE
        if begins_so or Path(path).suffix.lower() in SUFFIXES:
            raise _pickled(path)


def _pickled(file: Any) -> UnsafeFileError:
    return UnsafeFileError(
        f'{file} is not read: annotations and boxes are read from JSON, and a '
        'pickle can run commands on this computer. If you made it yourself, '
        'convert it once: python -c "import json, pickle; '
        f"json.dump(pickle.load(open({str(file)!r}, 'rb')), "
        "open('boxes.json', 'w'))\""
    )


class DataUnpickler(RestrictedUnpickler):
    """Build plain values, numpy arrays and tensors, and nothing else."""

    @property
    def allowed(self) -> dict[str, Any]:  # type: ignore[override]
        """Types and functions by module and name."""
        return _allowed()

    def refusal(self, words: str) -> UnsafeFileError:
        """Return an error that the name of the file is put before."""
        name = next(x for x in words.split() if '.' in x)
        return UnsafeFileError(
            f'was not loaded: it holds {name}, and a file that may '
            'build such objects could also run commands on this computer. '
            'Only plain values, numpy arrays and tensors are read; store the '
            'data as JSON'
        )


@functools.cache
def _allowed() -> dict[str, Any]:
    """Return the classes and functions that a pickle may name."""
    plain = {
        f'{module}.{name}': getattr(builtins, name)
        for name in PLAIN.split()
        for module in ('builtins', '__builtin__')  # of Python 3 and 2
    }
    plain['collections.OrderedDict'] = collections.OrderedDict
    others = {
        f'{t.__module__}.{t.__qualname__}': t
        for t in harmless_types()
        if t.__module__ != 'builtins'
    }
    others['numpy.dtype'] = np.dtype  # also texts and objects
    from_buffer = import_numpy_core('numeric')._frombuffer
    tensors = torch._utils
    return {
        **plain,
        **others,
        '_codecs.encode': _encode,
        'numpy.core.numeric._frombuffer': from_buffer,
        'numpy._core.numeric._frombuffer': from_buffer,
        'torch._utils._rebuild_tensor_v2': tensors._rebuild_tensor_v2,
        'torch._utils._rebuild_parameter': tensors._rebuild_parameter,
        'torch.storage._load_from_bytes': _load_storage,
    }


def _encode(text: str, encoding: str = 'utf-8') -> bytes:
    """Return the bytes that protocol 2 writes as a text."""
    return text.encode(encoding)


def _load_storage(data: bytes) -> Any:
    """Return the numbers of a tensor; torch's own function unpickles."""
    return torch.load(io.BytesIO(data), weights_only=True)


# ---------------------------------------------------------------------- YAML


class _SafeLoader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
    """Build plain values, and the tuples that mmengine writes."""


_SafeLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple',
    lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
)


def _load_yaml(self: YamlHandler, file: IO, **options: Any) -> Any:
    options.setdefault('Loader', _SafeLoader)
    return yaml.load(file, **options)


# --------------------------------------------------------------------- numpy


def check_numpy_file(read: Callable) -> Callable:
    """Return a dataset's method that reads a file of numpy with pickles."""

    @functools.wraps(read)
    def wrapper(self: Any, ann_file: str) -> Any:
        with get_local_path(ann_file) as path:
            check_arrays(path)
        return read(self, ann_file)

    return wrapper


def check_arrays(path: str | Path) -> None:
    """Raise if a file of numpy, ``.npy`` or ``.npz``, may run code.

    Raises:
        UnsafeFileError: If an array of objects holds other things than plain
            values and arrays.
    """
    try:
        if not zipfile.is_zipfile(path):
            _check_array(Path(path).read_bytes(), may_be_pickle=True)
            return
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                _check_array(archive.read(name))
    except UnsafeFileError as error:
        raise UnsafeFileError(f'{path} {error}') from None


def _check_array(data: bytes, may_be_pickle: bool = False) -> None:
    stream = io.BytesIO(data)
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        if may_be_pickle:
            DataUnpickler(stream).load()
        return
    if np.lib.format.read_magic(stream) == (1, 0):
        *_, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        *_, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        DataUnpickler(stream).load()

"""GTPT, HEViTPose, ViTPose and Group Pose as plugins of mmpose.

``import gtpt_mm`` first repairs what keeps stock mmpose from running on the
installed stack (``gtpt_mm.compat``; nothing where nothing is missing, and
nothing with ``GTPT_MM_COMPAT=0`` in the environment) and then registers this
package's modules in mmpose's registries. A config needs only

    custom_imports = dict(imports=['gtpt_mm'], allow_failed_imports=False)
"""

import importlib
import logging
import sys
import warnings
from pathlib import PurePath
from types import ModuleType
from typing import Any

from .version import __version__

__all__ = [
    '__version__',
    'export',
    'get_config',
    'import_error',
    'list_models',
    'load_model',
]

#: Functions of ``apis.model_names``, imported at their first use.
_BY_NAME = ('get_config', 'list_models', 'load_model')

#: Why nothing could be registered, or None. ``gtpt-mm doctor`` must start
#: where torch or mmpose is broken: the error is kept, logged (stderr, unless
#: logging is set up otherwise) and raised at the first use of a module.
import_error: ImportError | None = None


def _register() -> None:
    """Repair other packages; import every module that registers something."""
    from . import compat, ops

    compat.install(ops, _model_names)
    from . import (  # noqa: F401
        codecs,
        datasets,
        engine,
        evaluation,
        models,
        visualization,
    )

    if words := compat.left_out():
        warnings.warn(words, RuntimeWarning, stacklevel=2)


def _model_names() -> ModuleType:
    return importlib.import_module(f'{__name__}.apis.model_names')


def __getattr__(name: str) -> Any:
    """Import a function; raise the kept error for what was not imported."""
    if import_error is not None and not name.startswith('_'):
        raise import_error
    if name in _BY_NAME:
        return getattr(_model_names(), name)
    if name == 'export':
        module = importlib.import_module(f'{__name__}.apis.export')
        return module.export
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


try:
    _register()
except Exception as error:
    # Broken packages fail in many ways: ImportError, but also ValueError (an
    # extension of another numpy), RuntimeError (torchvision of another torch),
    # AssertionError (mmdet and its mmcv).
    from .compat import left_out

    reason = repr(error)[:1000]  # of a file that cannot be decoded: all of it
    words = (
        f'gtpt_mm cannot register its models in mmpose: {reason}.',
        left_out(),
        'Run `gtpt-mm doctor` for the cause and the remedy.',
    )
    import_error = ImportError(' '.join(filter(None, words)))
    import_error.__cause__ = error
    # A config that imports gtpt_mm uses no module of it: shown here, or the
    # user would only read that a model is not in the registry. The command
    # reports it where it matters; its `setup` and `doctor` are the remedy.
    if PurePath(*sys.argv[:1]).stem != 'gtpt-mm':
        logging.getLogger(__name__).error('%s', import_error)

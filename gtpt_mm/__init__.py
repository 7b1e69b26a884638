"""GTPT, HEViTPose, ViTPose and Group Pose as plugins of mmpose.

``import gtpt_mm`` first repairs what keeps stock mmpose from running on the
installed stack (``gtpt_mm.compat``; nothing where nothing is missing) and then
registers this package's modules in mmpose's registries. A config needs only

    custom_imports = dict(imports=['gtpt_mm'], allow_failed_imports=False)
"""

import sys
from pathlib import Path

from . import compat, ops
from .version import __version__

__all__ = ['__version__']


def _is_doctor() -> bool:
    """Tell whether this process runs ``gtpt-mm doctor`` (or only its help)."""
    argv = sys.orig_argv[1:]
    while argv and argv[0].startswith('-') and argv[0] != '-m':
        # Interpreter options; -X and -W take a value.
        argv = argv[2:] if argv[0] in ('-X', '-W') else argv[1:]
    if argv[:2] == ['-m', __name__]:
        argv = argv[2:]
    elif argv and Path(argv[0]).name == 'gtpt-mm':
        argv = argv[1:]
    else:
        return False
    return not argv or argv[0] in ('doctor', '-h', '--help')


def _register() -> None:
    """Import every module that registers something in mmpose."""
    from . import (  # noqa: F401
        codecs,
        datasets,
        engine,
        evaluation,
        models,
        visualization,
    )


try:
    compat.install(ops)
    _register()
except Exception as error:
    # Broken packages fail in many ways: ImportError, but also ValueError (an
    # extension of another numpy), RuntimeError (torchvision of another torch),
    # AssertionError (mmdet and its mmcv). ``gtpt-mm doctor`` must still start:
    # it explains them.
    if not _is_doctor():
        raise ImportError(
            f'gtpt_mm cannot register its models in mmpose: {error!r}. '
            'Run `gtpt-mm doctor` for the cause and the remedy.'
        ) from error

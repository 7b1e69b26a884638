"""Stock mmpose on today's stack, without a compiler.

The only place that patches or probes other packages. Each module here is one
shim: ``missing()`` says in words what the installed packages lack ('' for
nothing), ``repair()`` mends it. ``GTPT_MM_COMPAT=0`` in the environment
leaves other packages as they are.
"""

import importlib
import os
from types import ModuleType

VARIABLE = 'GTPT_MM_COMPAT'
# In this order: mmpose cannot be imported before the first two are in place.
SHIMS = (
    'mmcv_ops',
    'mmpretrain_api',
    'torch_api',
    'compile_api',
    'numpy_api',
    'matplotlib_api',
    'config_text',
    'head_codec',
)

_missing: dict[str, str] = {}


def install(ops: ModuleType) -> None:
    """Apply every shim that the installed packages need, once.

    Args:
        ops: The operators that mmcv may lack, as :mod:`gtpt_mm.ops` has them.

    Raises:
        ImportError: If mmengine, mmcv or mmpose is missing or broken; a
            second call goes on with the shims that were not reached.
        ValueError: If ``GTPT_MM_COMPAT`` is neither 0 nor 1.
    """
    if os.environ.get(VARIABLE, '1') not in ('0', '1'):
        raise ValueError(
            f'{VARIABLE} must be 0 or 1, got {os.environ[VARIABLE]!r}'
        )
    arguments = dict(mmcv_ops=(ops,))
    for name in SHIMS:
        if name not in _missing:
            shim = importlib.import_module(f'{__name__}.{name}')
            words = shim.missing()
            if words and _is_enabled():
                shim.repair(*arguments.get(name, ()))
            _missing[name] = words


def applied() -> dict[str, str]:
    """Return what each shim repaired so far; '' for nothing."""
    return dict(_missing) if _is_enabled() else {}


def left_out() -> str:
    """Return a sentence on repairs that ``GTPT_MM_COMPAT=0`` prevents.

    '' if there are none.
    """
    words = [f'{name} ({what})' for name, what in _missing.items() if what]
    if _is_enabled() or not words:
        return ''
    return f'{VARIABLE}=0 leaves out these repairs: {", ".join(words)}.'


def _is_enabled() -> bool:
    return os.environ.get(VARIABLE) != '0'

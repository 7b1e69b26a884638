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
    arguments = dict(mmcv_ops=(ops,))
    for name in SHIMS:
        if name not in _missing:
            shim = importlib.import_module(f'{__name__}.{name}')
            words = shim.missing()
            if words and is_enabled():
                shim.repair(*arguments.get(name, ()))
            _missing[name] = words


def is_enabled() -> bool:
    """Return whether other packages may be repaired.

    Raises:
        ValueError: If ``GTPT_MM_COMPAT`` is neither 0 nor 1.
    """
    value = os.environ.get(VARIABLE, '1')
    if value not in ('0', '1'):
        raise ValueError(f'{VARIABLE} must be 0 or 1, got {value!r}')
    return value == '1'


def applied() -> dict[str, str]:
    """Return what each shim repaired so far; '' for nothing."""
    return dict(_missing) if is_enabled() else {}


def left_out() -> dict[str, str]:
    """Return what is missing and, by ``GTPT_MM_COMPAT=0``, not repaired."""
    if is_enabled():
        return {}
    return {name: words for name, words in _missing.items() if words}

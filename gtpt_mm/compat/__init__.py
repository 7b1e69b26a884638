"""Stock mmpose on today's stack, without a compiler.

The only place that patches or probes other packages. Each module here is one
shim: ``install()`` looks whether something is missing, repairs it, and says
in words what it repaired.
"""

import importlib

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

_applied: dict[str, list[str]] = {}


def install() -> None:
    """Apply every shim that the installed packages need, once.

    Raises:
        ImportError: If mmengine, mmcv or mmpose is missing or broken; a
            second call goes on with the shims that were not reached.
    """
    for name in SHIMS:
        if name not in _applied:
            shim = importlib.import_module(f'{__name__}.{name}')
            _applied[name] = shim.install()


def applied() -> dict[str, list[str]]:
    """Return what each shim repaired so far; empty lists for nothing."""
    return {name: list(words) for name, words in _applied.items()}

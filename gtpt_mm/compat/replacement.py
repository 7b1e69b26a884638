"""Replace stock classes and functions by those of a shim."""

import sys
from collections.abc import Callable

from mmengine.registry import Registry

PACKAGES = ('mmengine', 'mmpose', 'mmdet', 'mmpretrain')


def replace_class(mixin: type, stock: type, registry: Registry) -> None:
    """Register ``mixin`` before ``stock`` under the stock name.

    Stock modules that have the class as an attribute get the new one. Its
    module is that of the mixin: a spawned process that unpickles it imports
    this module, and thus the shims.

    Args:
        mixin: First base of the new class; it calls ``super()``.
        stock: The class that it stands for.
        registry: The registry that has ``stock`` under its name.
    """
    name = stock.__name__
    new = type(name, (mixin, stock), dict(__doc__=mixin.__doc__))
    new.__module__ = mixin.__module__
    registry.register_module(name=name, force=True, module=new)
    setattr(sys.modules[mixin.__module__], name, new)
    path = stock.__module__
    while path:
        if getattr(sys.modules[path], name, None) is stock:
            setattr(sys.modules[path], name, new)
        path = path.rpartition('.')[0]


def replace_everywhere(original: Callable, new: Callable) -> None:
    """Rebind every name of a function or class in OpenMMLab's modules.

    ``from mmengine.runner import load_checkpoint`` copies the name; a module
    that did so before this call would keep the old function.

    Args:
        original: The function or class to replace.
        new: Its replacement.
    """
    for name, module in list(sys.modules.items()):
        if name.partition('.')[0] not in PACKAGES or module is None:
            continue
        for key, value in list(vars(module).items()):
            if value is original:
                setattr(module, key, new)

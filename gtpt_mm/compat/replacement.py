"""A class of ours in the place of a stock one, for the shims."""

import sys

from mmengine.registry import Registry


def replace_class(mixin: type, stock: type, registry: Registry) -> None:
    """Register ``mixin`` before ``stock`` under the stock name.

    Stock modules that have the class as an attribute get the new one. It
    belongs to the module of the mixin, so that a copy in a spawned process,
    which finds it there, imports the shims as well.

    Args:
        mixin: What the new class derives from first; it calls ``super()``.
        stock: The class that it stands for.
        registry: The registry that has ``stock`` under its name.
    """
    name = stock.__name__
    new = type(name, (mixin, stock), dict(__doc__=stock.__doc__))
    new.__module__ = mixin.__module__
    registry.register_module(name=name, force=True, module=new)
    setattr(sys.modules[mixin.__module__], name, new)
    path = stock.__module__
    while path:
        if getattr(sys.modules[path], name, None) is stock:
            setattr(sys.modules[path], name, new)
        path = path.rpartition('.')[0]

"""Replace a function wherever OpenMMLab's modules have imported it."""

import sys
from collections.abc import Callable

PACKAGES = ('mmengine', 'mmpose', 'mmdet', 'mmpretrain')


def replace_function(original: Callable, new: Callable) -> None:
    """Bind every name of a function in OpenMMLab's modules to a new one.

    ``from mmengine.runner import load_checkpoint`` copies the name; a module
    that did so before this call would keep the old function.

    Args:
        original: The function that is replaced.
        new: The function in its place.
    """
    for name, module in list(sys.modules.items()):
        if name.partition('.')[0] not in PACKAGES or module is None:
            continue
        for key, value in list(vars(module).items()):
            if value is original:
                setattr(module, key, new)

"""Import mmpretrain 1.2 together with transformers 5.

Broken: the multimodal models of mmpretrain <= 1.2.0 import functions from
``transformers.modeling_utils`` that transformers 5 no longer has there. If
both are installed, no model of mmpretrain can be imported, including the
vision transformers of stock ViTPose configs; mmdet, which imports mmpretrain
if it is installed, fails as well.

Here: mmpretrain is told that it has no multimodal packages. It then puts
placeholders in the place of BLIP, OFA and the like, which say so when built.

Can go: when mmpretrain can be imported beside the current transformers.
"""

import importlib.util
from pathlib import Path
from typing import Any

#: A function that mmpretrain imports from where transformers had it once.
MOVED = 'apply_chunking_to_forward'


def missing() -> str:
    """Say what is missing; '' where mmpretrain is absent or imports."""
    if not importlib.util.find_spec('mmpretrain') or _has_moved_names():
        return ''
    try:
        importlib.import_module('mmpretrain.utils.dependency')
    except ImportError:  # not usable at all; mmdet and mmpose skip it then
        return ''
    return (
        'mmpretrain cannot import its multimodal models beside this '
        'transformers; without them all else works'
    )


def repair() -> None:
    """Turn off the multimodal models."""
    dependency: Any = importlib.import_module('mmpretrain.utils.dependency')
    dependency.WITH_MULTIMODAL = False


def _has_moved_names() -> bool:
    """Return whether transformers is absent or old; imports nothing."""
    spec = importlib.util.find_spec('transformers')
    if spec is None or spec.origin is None:
        return True
    source = Path(spec.origin).with_name('modeling_utils.py')
    return not source.is_file() or MOVED.encode() in source.read_bytes()

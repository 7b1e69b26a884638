"""``torch.compiler.is_compiling`` for torch 2.1 and 2.2.

Broken: ``torch.compiler.is_compiling`` came with torch 2.3; models of gtpt_mm
and the attention that ``mmcv_ops`` repairs ask for it.

Here: that name for the function, which torch 2.1 and 2.2 have in another
module.

Can go: when gtpt_mm requires torch >= 2.3.
"""

import importlib

import torch


def missing() -> str:
    """Say what is missing; '' since torch 2.3."""
    if hasattr(torch.compiler, 'is_compiling'):
        return ''
    return f'torch {torch.__version__} has no torch.compiler.is_compiling'


def repair() -> None:
    """Give ``torch.compiler`` the name."""
    dynamo = importlib.import_module('torch._dynamo')
    torch.compiler.is_compiling = dynamo.is_compiling

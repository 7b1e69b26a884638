"""Modules that are replaced before an export, by their class."""

from functools import singledispatch

from torch import Tensor, nn


@singledispatch
def export_module(module: nn.Module) -> nn.Module:
    """Return a module with equal results that runs faster in a file.

    By default the module itself. A class that has a faster form registers its
    own function; the module is in eval mode, fused and may change in place.

    Args:
        module: Any module of the fused copy of an estimator.
    """
    return module


def replace_modules(parent: nn.Module) -> None:
    """Apply :func:`export_module` to all descendants, in place.

    Parents come first. A module that a replacement takes over from the
    replaced one may still be replaced, but no module is replaced twice.

    Args:
        parent: Its descendants are replaced, not itself.
    """
    _replace(parent, set())


def _replace(parent: nn.Module, done: set[nn.Module]) -> None:
    for name, child in parent.named_children():
        if child in done:
            continue
        done.add(child)
        new = export_module(child)
        if new is not child:
            setattr(parent, name, new)
        _replace(new, done)


def make_linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Return a linear layer of a weight (C_out, C_in) and a bias (C_out,)."""
    out_features, in_features = weight.shape
    linear = nn.Linear(in_features, out_features, bias is not None, 'meta')
    linear.weight = nn.Parameter(weight.contiguous())
    if bias is not None:
        linear.bias = nn.Parameter(bias.contiguous())
    return linear

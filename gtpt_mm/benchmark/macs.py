"""Two ways to count the multiply-adds of a network."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED_CONVS = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
NORMS = (
    _BatchNorm,  # the one base of torch's own and of mmengine's variants
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
)


def count_modules(model: nn.Module, call: Callable[[], object]) -> int:
    """Count MACs of the convolution, linear and norm modules that run.

    A convolution and a linear layer count one for each multiplication, none
    for the bias; a norm counts two for each element, four if it has weights.
    A module that runs twice counts twice. Everything else is ignored:
    products of attention, activations, pooling, resizing.

    These are the rules of the package ``thop``, used by GTPT and many other
    papers, except for transposed convolutions: ``thop`` counts their output as
    if they were convolutions, too high by the square of the stride, and skips
    subclasses.

    Args:
        model: The network; nested modules are found.
        call: Runs ``model`` on the inputs to count for.

    Returns:
        Number of MACs.

    Example:
        >>> model = nn.Linear(8, 4)
        >>> count_modules(model, lambda: model(torch.rand(2, 8)))
        64
    """
    total = 0

    def add(module: nn.Module, args: tuple, output: Tensor) -> None:
        nonlocal total
        total += _module_macs(module, args[0], output)

    kinds = (*CONVS, *TRANSPOSED_CONVS, nn.Linear, *NORMS)
    hooks = [
        module.register_forward_hook(add)
        for module in model.modules()
        if isinstance(module, kinds)
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _module_macs(module: nn.Module, x: Tensor, output: Tensor) -> int:
    """Return the MACs of one run of one module."""
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, CONVS):
        inputs = module.in_channels // module.groups
        return output.numel() * inputs * prod(module.kernel_size)
    if isinstance(module, TRANSPOSED_CONVS):
        outputs = module.out_channels // module.groups
        return x.numel() * outputs * prod(module.kernel_size)
    return x.numel() * (2 if module.weight is None else 4)


def count_operators(call: Callable[[], object]) -> int:
    """Count MACs of the convolutions and matrix products that are computed.

    Half of what ``torch.utils.flop_counter`` counts: convolutions, linear
    layers, matrix products and the two products of attention, however they
    are written. Norms and elementwise operators count nothing.

    Args:
        call: Runs the network once.

    Returns:
        Number of MACs.

    Example:
        >>> q = torch.rand(1, 2, 10, 4)  # 2 heads, 10 tokens, 4 channels
        >>> attention = nn.functional.scaled_dot_product_attention
        >>> count_operators(lambda: attention(q, q, q))  # 2 * 2 * 10 * 10 * 4
        1600
    """
    # torch's table of formulas lacks the fused attention of the CPU.
    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one opaque operator
    try:
        with FlopCounterMode(
            display=False, custom_mapping={on_cpu: _sdpa_flops}
        ) as counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return counter.get_total_flops() // 2


def _sdpa_flops(
    q: torch.Size, k: torch.Size, v: torch.Size, *args: Any, **kwargs: Any
) -> int:
    """Return the FLOPs of fused attention from the shapes of its inputs."""
    return sdpa_flop_count(q, k, v)

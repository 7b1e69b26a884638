"""BatchNorms whose outputs the backward pass recomputes."""

# B batch, C channels, (h, w) feature map

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from .batch_norm import has_plain_statistics


class RecomputedNorm(nn.BatchNorm2d):
    """BatchNorm; inside :func:`recompute_norms` its output is not stored.

    A ReLU that works in place must follow. Autograd stores a norm's input,
    and its output once more for the ReLU and the convolution behind it. From
    input and statistics the output follows by one multiplication and addition.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, (B, C, h, w)."""
        if not _active or not has_plain_statistics(self):
            return super().forward(x)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        out, mean, invstd = torch.native_batch_norm(
            x, self.weight, self.bias, self.running_mean, self.running_var,
            True, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        # native_batch_norm returns 1 / sqrt(var + eps); _Output needs var.
        var = invstd.detach().square().reciprocal() - self.eps
        _active[-1][out.data_ptr()] = _Output(out, self, x, mean.detach(), var)
        return out


class _Output:
    """The output of a norm in training, recomputed on demand.

    Args:
        out: The output, of which only a weak reference is kept.
        norm: The norm.
        x: Its input, which autograd stores as well.
        mean: Mean of the batch, (C,).
        var: Variance of the batch, (C,).
    """

    def __init__(
        self,
        out: Tensor,
        norm: RecomputedNorm,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
    ) -> None:
        self._out = weakref.ref(out)
        self._stride = out.stride()
        self._eps = norm.eps
        # Not by the norm: functional_call replaces its weights for a while.
        self._source = x.detach(), norm.weight, norm.bias, mean, var
        self._value: Tensor | None = None

    def is_same(self, tensor: Tensor) -> bool:
        """Return whether a tensor at its address is all of the output."""
        out = self._out()  # None: others may have its memory by now
        return out is not None and out.numel() == tensor.numel()

    @torch.no_grad()
    def get(self, like: tuple[torch.Size, tuple[int, ...]]) -> Tensor:
        """Return the output with a shape and strides; all share its memory."""
        if self._value is None:
            value = torch.batch_norm(
                *self._source, False, 0.0, self._eps, False
            )
            if value.stride() != self._stride:
                raise RuntimeError(
                    'batch_norm has chosen another layout than in forward'
                )
            self._value = value.relu_()
        return self._value.as_strided(*like)


#: Outputs of norms by address, a dict for each open :func:`recompute_norms`.
_active: list[dict[int, _Output]] = []


def recomputes_norms() -> bool:
    """Return whether :func:`recompute_norms` is open."""
    return bool(_active)


@contextlib.contextmanager
def recompute_norms() -> Iterator[None]:
    """Let autograd store no outputs of ``RecomputedNorm``.

    Numbers and gradients stay equal up to rounding.

    Example:
        >>> stem = nn.Sequential(
        ...     RecomputedNorm(8), nn.ReLU(True), nn.Conv2d(8, 8, 1))
        >>> with recompute_norms():
        ...     loss = stem(torch.rand(2, 8, 6, 4)).sum()
        >>> loss.backward()
    """
    outputs: dict[int, _Output] = {}

    def pack(tensor: Tensor) -> Any:
        output = outputs.get(tensor.data_ptr())
        if output is not None and output.is_same(tensor):
            return output, (tensor.shape, tensor.stride())
        return tensor

    def unpack(saved: Any) -> Tensor:
        if isinstance(saved, Tensor):
            return saved
        output, like = saved
        return output.get(like)

    _active.append(outputs)
    try:
        with saved_tensors_hooks(pack, unpack):
            yield
    finally:
        _active.pop()
        outputs.clear()

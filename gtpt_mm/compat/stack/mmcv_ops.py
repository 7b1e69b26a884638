"""Supply the compiled operators that mmcv-lite lacks.

Missing: the extension module ``mmcv._ext``. mmcv-lite (every version) has
none, mmcv itself has no wheel in the package registry, and compiling it takes
about 40 minutes. Yet ``mmcv.ops`` loads its operators by name at
import, and mmpose.models imports ``mmcv.ops``.

Here: a module of that name whose nms, soft-NMS, RoIAlign, deformable
convolution and multi-scale deformable attention call the operators handed to
:func:`repair`, on any device. Every other operator raises
:class:`UnsupportedOpError` when it is called. For multi-scale deformable
attention on a CPU mmcv calls a slower function instead of its operator; it is
replaced.

Can go: when mmpose no longer imports compiled operators, or wheels of mmcv
for current torch are in the registry.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import partial, wraps
from types import ModuleType
from typing import Any

import torch
import torchvision
from torch import Tensor

NAME = 'mmcv._ext'
AVG_POOL = 1  # mmcv's number of the pooling mode; the other is 0
SOFT_NMS_METHODS = dict(enumerate(('naive', 'linear', 'gaussian')))


class UnsupportedOpError(NotImplementedError):
    """The called operator exists in compiled mmcv only."""


class SuppliedOps(ModuleType):
    """Stands for ``mmcv._ext``; answers every operator's name.

    The signatures are those of mmcv, which passes tensors for the results.
    Scratch memory (``columns``, ``ones``, ``im2col_step``) is not used.

    Args:
        ops: The operators, as :mod:`gtpt_mm.ops` has them.
    """

    def __init__(self, ops: ModuleType) -> None:
        super().__init__(NAME, 'mmcv operators in torchvision and PyTorch.')
        # mmengine asks pkgutil.find_loader for a loader; it loads nothing.
        self.__spec__ = importlib.util.spec_from_file_location(NAME, __file__)
        self.__package__, self.__file__ = 'mmcv', __file__
        self._ops = ops
        self.nms, self.nms_match = ops.nms, ops.nms_match
        # mmcv logs these two.
        compiler = 'none (mmcv-lite; operators by gtpt_mm.ops)'
        self.get_compiler_version = lambda: compiler
        self.get_compiling_cuda_version = lambda: 'not available'

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('_'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')
        return _unsupported(name)

    def softnms(self, *tensors: Tensor, method: int, **options: Any) -> Tensor:
        """Write (box, new score) of the kept boxes; return their indices."""
        boxes, scores, dets = tensors
        name = SOFT_NMS_METHODS.get(method, method)
        scores, kept = self._ops.soft_nms(
            boxes, scores, method=name, **options
        )
        dets[: len(kept), :4] = boxes.detach().to(dets)[kept]
        dets[: len(kept), 4] = scores.to(dets)
        return kept

    def roi_align_forward(
        self, *tensors: Tensor, pool_mode: int, **options: Any
    ) -> None:
        """Write the pooled regions and the locations of the maxima."""
        x, rois, *targets = tensors  # output, argmax_y, argmax_x
        if pool_mode == AVG_POOL:
            targets[0].copy_(self._average(x, rois, **options))
        else:
            options = _roi_options(**options)
            _write(targets, self._ops.roi_align_max(x, rois, **options))

    def roi_align_backward(
        self, *tensors: Tensor, pool_mode: int, **options: Any
    ) -> None:
        """Add the gradient of the map."""
        grad_output, rois, rows, columns, grad_x = tensors
        pool = partial(self._average, rois=rois, **options)
        if pool_mode != AVG_POOL:
            pool = partial(
                self._ops.sample_regions, rois=rois, rows=rows, columns=columns
            )
        # The result is linear in the map: its values do not matter.
        x = torch.zeros_like(grad_x)
        grad_x.add_(_gradients(pool, [x], grad_output)[0])

    def _average(self, x: Tensor, rois: Tensor, **options: Any) -> Tensor:
        """Pool regions by average, in 32 bits at least."""
        options = _roi_options(**options)
        size = options.pop('size')
        x, rois = self._ops.widen(x, rois)
        return torchvision.ops.roi_align(x, rois, size, **options)

    def deform_conv_forward(self, *tensors: Tensor, **sizes: int) -> None:
        """Write the result of a deformable convolution."""
        x, weight, offset, output = tensors[:4]
        conv = partial(self._ops.deform_conv, **_conv_options(**sizes))
        output.copy_(conv(x, offset, weight))

    def deform_conv_backward_input(
        self, *tensors: Tensor, **sizes: int
    ) -> None:
        """Write the gradients of the map and of the offsets."""
        x, offset, grad_output, *targets, weight = tensors[:6]
        conv = partial(
            self._ops.deform_conv, weight=weight, **_conv_options(**sizes)
        )
        _write(targets, _gradients(conv, [x, offset], grad_output))

    def deform_conv_backward_parameters(
        self, *tensors: Tensor, scale: float, **sizes: int
    ) -> None:
        """Add ``scale`` times the gradient of the kernel."""
        x, offset, grad_output, grad_weight = tensors[:4]
        conv = partial(
            self._ops.deform_conv, x, offset, **_conv_options(**sizes)
        )
        # The result is linear in the kernel: its values do not matter.
        kernel = torch.zeros_like(grad_weight)
        grad_weight.add_(_gradients(conv, [kernel], grad_output)[0] * scale)

    def modulated_deform_conv_forward(
        self, *tensors: Tensor, with_bias: bool, **sizes: int
    ) -> None:
        """Write the result of a modulated deformable convolution."""
        x, weight, bias, _, offset, mask, output = tensors[:7]
        conv = partial(self._ops.deform_conv, **_conv_options(**sizes))
        output.copy_(
            conv(x, offset, weight, bias if with_bias else None, mask)
        )

    def modulated_deform_conv_backward(
        self, *tensors: Tensor, with_bias: bool, **sizes: int
    ) -> None:
        """Add the gradients of kernel and bias; write the others."""
        x, weight, bias, _, offset, mask, _, *targets, grad_output = tensors
        grad_x, grad_weight, grad_bias, grad_offset, grad_mask = targets
        conv = partial(self._ops.deform_conv, **_conv_options(**sizes))
        of_x, of_offset, of_weight, of_bias, of_mask = _gradients(
            conv,
            [x, offset, weight, grad_output.new_zeros(len(weight)), mask],
            grad_output,
        )
        _write((grad_x, grad_offset, grad_mask), (of_x, of_offset, of_mask))
        grad_weight.add_(of_weight)
        if with_bias:
            grad_bias.add_(of_bias)

    def ms_deform_attn_forward(
        self, *tensors: Tensor, im2col_step: int
    ) -> Tensor:
        """Sum sampled values; levels must follow one another."""
        value, spatial_shapes, _, locations, weights = tensors
        return self._ops.deform_attention(
            value, spatial_shapes, locations, weights
        )

    def ms_deform_attn_backward(
        self, *tensors: Tensor, im2col_step: int
    ) -> None:
        """Write the gradients of values, locations and weights."""
        value, shapes, _, locations, weights, grad_output, *targets = tensors

        def attend(value: Tensor, *others: Tensor) -> Tensor:
            return self._ops.deform_attention(value, shapes, *others)

        inputs = [value, locations, weights]
        _write(targets, _gradients(attend, inputs, grad_output))


def compiled_mmcv() -> str | None:
    """Return the file of compiled mmcv, or None; imports nothing."""
    module = sys.modules.get(NAME)
    if module is not None:
        file = getattr(module, '__file__', None) or repr(module)
        return None if isinstance(module, SuppliedOps) else file
    mmcv = importlib.util.find_spec('mmcv')
    if mmcv is None or not mmcv.submodule_search_locations:
        return None
    spec = importlib.machinery.PathFinder.find_spec(
        NAME, mmcv.submodule_search_locations
    )
    return spec.origin if spec else None


def missing() -> str:
    """Say what is missing; '' where compiled mmcv or none is installed."""
    if importlib.util.find_spec('mmcv') is None or compiled_mmcv():
        return ''  # without mmcv, importing mmpose tells the user so
    return 'mmcv-lite has no compiled operators, which mmpose.models imports'


def repair(ops: ModuleType) -> None:
    """Supply ``mmcv._ext``.

    Args:
        ops: The operators, as :mod:`gtpt_mm.ops` has them.
    """
    import mmcv

    if NAME not in sys.modules:
        sys.modules[NAME] = mmcv._ext = SuppliedOps(ops)
    _keep_sampling_locations()
    _gather_rows_on_a_cpu(ops.deform_attention)


def _write(targets: Sequence[Tensor], results: Sequence[Tensor]) -> None:
    for target, result in zip(targets, results, strict=True):
        target.copy_(result)


def _gradients(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    grad_output: Tensor,
) -> tuple[Tensor, ...]:
    """Differentiate ``function(*inputs)`` by each input."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    with torch.enable_grad():
        output = function(*leaves)
    return torch.autograd.grad(output, leaves, grad_output.to(output))


def _roi_options(
    aligned_height: int, aligned_width: int, **options: Any
) -> dict[str, Any]:
    """Return mmcv's arguments of RoIAlign with the output size (h, w)."""
    return dict(size=(aligned_height, aligned_width), **options)


def _conv_options(**sizes: int) -> dict[str, tuple[int, ...]]:
    """Return stride, padding and dilation (y, x) from mmcv's arguments."""
    names = dict(
        stride=('dH', 'dW', 'stride_h', 'stride_w'),
        padding=('padH', 'padW', 'pad_h', 'pad_w'),
        dilation=('dilationH', 'dilationW', 'dilation_h', 'dilation_w'),
    )
    return {
        option: tuple(sizes[name] for name in both if name in sizes)
        for option, both in names.items()
    }


def _unsupported(name: str) -> Callable:
    def operator(*args: Any, **kwargs: Any) -> None:
        supplied = [n for n in vars(SuppliedOps) if not n.startswith('_')]
        raise UnsupportedOpError(
            f'mmcv operator {name!r} needs compiled mmcv; this environment '
            f'has mmcv-lite, for which gtpt_mm supplies only nms, nms_match, '
            f'{", ".join(supplied)}. To compile mmcv (about 40 minutes; needs '
            'a C++ compiler, nvcc for CUDA, and with torch >= 2.13 -std=c++20 '
            'in its setup.py): pip uninstall -y mmcv-lite && MMCV_WITH_OPS=1 '
            'pip install --no-deps --no-build-isolation "mmcv>=2.0.1,<2.2"'
        )

    operator.__name__ = operator.__qualname__ = name
    return operator


def _gather_rows_on_a_cpu(deform_attention: Callable[..., Tensor]) -> None:
    """Let deformable attention on a CPU call our operator.

    There mmcv calls ``multi_scale_deformable_attn_pytorch`` instead, which
    samples by ``grid_sample``. Other devices and traced graphs, which read
    sizes from tensors, keep that function.
    """
    from mmcv.ops import multi_scale_deform_attn as module

    stock = module.multi_scale_deformable_attn_pytorch
    if hasattr(stock, '__wrapped__'):
        return

    @wraps(stock)
    def attend(value: Tensor, *args: Tensor) -> Tensor:
        traced = torch.jit.is_tracing() or torch.compiler.is_compiling()
        on_cpu = value.device.type == 'cpu'
        function = deform_attention if on_cpu and not traced else stock
        return function(value, *args)

    module.multi_scale_deformable_attn_pytorch = attend


def _keep_sampling_locations() -> None:
    """Leave the locations of deformable attention in the caller's precision.

    mmcv casts them to the type of the values, since its kernel takes one type
    only: under AMP that moves samples by up to 0.4 cells (bfloat16, a map
    200 cells wide). Our operator takes both types.
    """
    from mmcv.ops.multi_scale_deform_attn import (
        MultiScaleDeformableAttnFunction,
    )

    def forward(ctx: Any, *args: Any) -> Tensor:
        *inputs, step = args
        ctx.im2col_step = step
        ctx.save_for_backward(*inputs)
        return sys.modules[NAME].ms_deform_attn_forward(
            *inputs, im2col_step=step
        )

    MultiScaleDeformableAttnFunction.forward = staticmethod(forward)

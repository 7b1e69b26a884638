"""The compiled operators that mmcv-lite lacks.

Missing: the extension module ``mmcv._ext``. mmcv-lite (every version) has
none, mmcv itself has no wheel in the package registry, and compiling it takes
about 40 minutes. Yet ``mmcv.ops`` loads its operators by name at
import, and mmpose.models imports ``mmcv.ops``.

Here: a module of that name whose nms, soft-NMS, RoIAlign, deformable
convolution and multi-scale deformable attention are computed by torchvision
and plain PyTorch, on any device. Every other operator raises
:class:`UnsupportedOpError` when it is called. On a CPU mmcv's module of that
attention calls no operator but a slower function, which is replaced.

Can go: when mmpose no longer imports compiled operators, or wheels of mmcv
for current torch are in the registry.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

NAME = 'mmcv._ext'
SUPPLIED = {
    'nms': ('nms', 'softnms', 'nms_match'),
    'roi_align': ('roi_align_forward', 'roi_align_backward'),
    'deform_conv': (
        'deform_conv_forward',
        'deform_conv_backward_input',
        'deform_conv_backward_parameters',
        'modulated_deform_conv_forward',
        'modulated_deform_conv_backward',
    ),
    'ms_deform_attn': ('ms_deform_attn_forward', 'ms_deform_attn_backward'),
}


class UnsupportedOpError(NotImplementedError):
    """An operator of mmcv was called that only compiled mmcv has."""


class _ExtModule(ModuleType):
    """Stands for ``mmcv._ext``; answers every operator's name."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('_'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')
        return _unsupported(name)


class _Loader:
    """Makes the module known to ``pkgutil.find_loader``, which mmengine asks.

    The module needs no loading: it is already in ``sys.modules``.
    """

    def create_module(self, spec: importlib.machinery.ModuleSpec):
        return _build()

    def exec_module(self, module: ModuleType) -> None:
        pass


def compiled_mmcv() -> str | None:
    """Return where compiled mmcv lies, or None; imports nothing."""
    module = sys.modules.get(NAME)
    if module is not None:
        file = getattr(module, '__file__', None) or repr(module)
        return None if isinstance(module, _ExtModule) else file
    mmcv = importlib.util.find_spec('mmcv')
    if mmcv is None or not mmcv.submodule_search_locations:
        return None
    spec = importlib.machinery.PathFinder.find_spec(
        NAME, mmcv.submodule_search_locations
    )
    return spec.origin if spec else None


def install() -> list[str]:
    """Supply ``mmcv._ext`` unless compiled mmcv is there.

    Returns:
        What was repaired, in words; empty if nothing was missing.
    """
    if importlib.util.find_spec('mmcv') is None or compiled_mmcv():
        return []  # without mmcv, importing mmpose tells the user so
    import mmcv

    if NAME not in sys.modules:
        sys.modules[NAME] = mmcv._ext = _build()
    _keep_sampling_locations()
    _gather_rows_on_a_cpu()
    names = ', '.join(SUPPLIED)
    return [f'mmcv-lite has no compiled operators; supplied: {names}']


def _build() -> _ExtModule:
    module = _ExtModule(NAME, __doc__)
    spec = importlib.util.spec_from_loader(NAME, _Loader(), origin=__file__)
    module.__spec__, module.__loader__ = spec, spec.loader
    module.__package__, module.__file__ = 'mmcv', __file__
    for file, names in SUPPLIED.items():
        source = importlib.import_module(f'{__name__}.{file}')
        for name in names:
            setattr(module, name, getattr(source, name))
    module.get_compiler_version = _get_compiler_version
    module.get_compiling_cuda_version = _get_compiling_cuda_version
    return module


def _get_compiler_version() -> str:
    """Answer what mmcv logs about its compiler."""
    return 'none (mmcv-lite; operators by gtpt_mm.compat)'


def _get_compiling_cuda_version() -> str:
    """Answer what mmcv logs about its CUDA."""
    return 'not available'


def _unsupported(name: str) -> Callable:
    def operator(*args, **kwargs):
        supplied = ', '.join(op for ops in SUPPLIED.values() for op in ops)
        raise UnsupportedOpError(
            f'mmcv operator {name!r} needs compiled mmcv; this environment '
            f'has mmcv-lite, for which gtpt_mm supplies only {supplied}. '
            'To compile mmcv (about 40 minutes; needs a C++ compiler, nvcc '
            'for CUDA, and with torch >= 2.13 -std=c++20 in its setup.py): '
            'pip uninstall -y mmcv-lite && MMCV_WITH_OPS=1 pip install '
            '--no-deps --no-build-isolation "mmcv>=2.0.1,<2.2"'
        )

    operator.__name__ = operator.__qualname__ = name
    return operator


def _gather_rows_on_a_cpu() -> None:
    """Let deformable attention on a CPU sample as our operator does.

    There mmcv calls a function of its own instead of the operator.
    """
    from mmcv.ops import multi_scale_deform_attn as module

    from .ms_deform_attn import by_rows_on_a_cpu

    stock = module.multi_scale_deformable_attn_pytorch
    if not hasattr(stock, '__wrapped__'):
        module.multi_scale_deformable_attn_pytorch = by_rows_on_a_cpu(stock)


def _keep_sampling_locations() -> None:
    """Leave the places of deformable attention in the caller's precision.

    mmcv casts them to the type of the values, since its kernel takes one type
    only: under AMP that moves samples by up to 0.4 cells (bfloat16, a map
    200 cells wide). Our operator takes both types.
    """
    from mmcv.ops.multi_scale_deform_attn import (
        MultiScaleDeformableAttnFunction,
    )

    def forward(
        ctx,
        value,
        value_spatial_shapes,
        value_level_start_index,
        sampling_locations,
        attention_weights,
        im2col_step,
    ):
        inputs = (
            value,
            value_spatial_shapes,
            value_level_start_index,
            sampling_locations,
            attention_weights,
        )
        ctx.im2col_step = im2col_step
        ctx.save_for_backward(*inputs)
        return sys.modules[NAME].ms_deform_attn_forward(
            *inputs, im2col_step=im2col_step
        )

    MultiScaleDeformableAttnFunction.forward = staticmethod(forward)

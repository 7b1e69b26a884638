"""Run stock mmpose on current packages, without a compiler.

All patches of other packages are here. Each module in ``SHIMS`` is one shim:
``missing()`` describes the defect of the installed packages ('' for none),
``repair()`` mends it. Its docstring names the defect, the broken versions and
when the shim can go. ``GTPT_MM_COMPAT=0`` in the environment leaves other
packages as they are.
"""

import importlib
import os
import warnings
from collections.abc import Callable
from types import ModuleType

VARIABLE = 'GTPT_MM_COMPAT'
#: Grouped by what they repair. The order matters: mmpose cannot be imported
#: before the first three are in place, and readers of files come before their
#: wrappers.
SHIMS = {
    'stack': (
        'mmcv_ops',
        'xtcocotools_api',
        'mmpretrain_api',
        'torch_api',
        'compile_api',
        'numpy_api',
        'matplotlib_api',
        'config_text',
    ),
    'files': (
        'checkpoint_files',
        'loaded_tensors',
        'checkpoint_hook',
        'file_handlers',
    ),
    'evaluation': (
        'keypoint_converter',
        'coco_metric',
        'mpii_pck',
        'multi_dataset_evaluator',
    ),
    'data': (
        'albumentations_api',
        'metainfo',
        'annotations',
        'ubody3d',
        'sample_errors',
        'empty_loader',
    ),
    'runs': (
        'work_dir_lock',
        'log_files',
        'logger_backends',
        'cpu_launcher',
        'runner_check',
        'data_loading',
        'train_loops',
        'runner_state',
        'zero_optimizer',
    ),
    # Several shims wrap the inferencers' calls: the innermost comes first.
    'inference': (
        'inferencer_people',
        'inferencer_batches',
        'inferencer_boxes',
        'inferencer_results',
        'inferencer_pictures',
        'inferencer_videos',
        'inferencer_inputs',
        'inference_functions',
        'half_precision',
        'heatmaps',
        'head_codec',
        'dark_refinement',
        'model_names',
    ),
}

_missing: dict[str, str] = {}


def install(
    ops: ModuleType, get_names: Callable[[], ModuleType] | None = None
) -> None:
    """Apply every shim that the installed packages need, once.

    Args:
        ops: The operators that mmcv and the classes that xtcocotools may
            lack, as :mod:`gtpt_mm.ops` has them.
        get_names: Returns :mod:`gtpt_mm.apis.model_names`, which is imported
            when mmpose is given a name.

    Raises:
        ImportError: If mmengine, mmcv or mmpose is missing or broken; a second
            call continues with the remaining shims.
        ValueError: If ``GTPT_MM_COMPAT`` is neither 0 nor 1.
    """
    if os.environ.get(VARIABLE, '1') not in ('0', '1'):
        raise ValueError(
            f'{VARIABLE} must be 0 or 1, got {os.environ[VARIABLE]!r}'
        )
    arguments: dict[str, tuple] = dict(
        mmcv_ops=(ops,), xtcocotools_api=(ops,), model_names=(get_names,)
    )
    if _is_enabled():
        # mmengine and mim cause it at each import; setuptools < 81 has it.
        warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
    for package, names in SHIMS.items():
        for name in (n for n in names if n not in _missing):
            shim = importlib.import_module(f'{__name__}.{package}.{name}')
            words = shim.missing()
            if words and _is_enabled():
                shim.repair(*arguments.get(name, ()))
            _missing[name] = words


def applied() -> dict[str, str]:
    """Return what each shim repaired so far; '' for nothing."""
    return dict(_missing) if _is_enabled() else {}


def left_out() -> str:
    """Return a sentence on repairs that ``GTPT_MM_COMPAT=0`` prevents.

    '' if there are none.
    """
    found = [name for name, what in _missing.items() if what]
    if _is_enabled() or not found:
        return ''
    # Without these mmpose may not even start; the others make it safe.
    words = [f'{n} ({_missing[n]})' for n in SHIMS['stack'] if n in found]
    words += [name for name in found if name not in SHIMS['stack']]
    return f'{VARIABLE}=0 leaves out these repairs: {", ".join(words)}.'


def _is_enabled() -> bool:
    return os.environ.get(VARIABLE) != '0'

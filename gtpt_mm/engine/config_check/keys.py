"""Rules: keys of the top level and of sections without type are known."""

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from mmengine.runner import Runner

from .finding import MISSING, Finding, find_near, suggest
from .registered import is_readable
from .signatures import find_mismatch, fits, read_arguments
from .view import View

#: Read from the top level besides the arguments of ``Runner``.
ALSO_READ = {
    'activation_checkpointing', 'compile', 'config_check', 'custom_imports',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'force_work_dir',
    'model_wrapper_cfg', 'preprocess_cfg', 'resume_with_other_batch_size',
    'runner_type', 'strategy', 'sync_bn', 'vis_backends',
}  # fmt: skip
#: Keys whose values are not dicts or lists.
SCALARS = {
    'config_check', 'default_scope', 'experiment_name', 'force_work_dir',
    'find_unused_parameters', 'launcher', 'load_from', 'log_level', 'resume',
    'resume_with_other_batch_size', 'runner_type', 'sync_bn', 'work_dir',
}  # fmt: skip
#: Sections without ``type``, as patterns of the dotted key: their keys, and
#: whether these are all.
SECTIONS: dict[str, tuple[str, bool]] = {
    'env_cfg': ('cudnn_benchmark mp_cfg dist_cfg resource_limit', True),
    r'env_cfg\.mp_cfg': ('mp_start_method opencv_num_threads', True),
    r'env_cfg\.dist_cfg': (
        'backend timeout init_backend init_method world_size rank port',
        False,
    ),
    'auto_scale_lr': ('enable base_batch_size', True),
    'custom_imports': ('imports allow_failed_imports', True),
    r'optim_wrapper(\.\w+)?\.paramwise_cfg': (
        'custom_keys lr_mult decay_mult bias_lr_mult bias_decay_mult '
        'norm_decay_mult dwconv_decay_mult dcn_offset_lr_mult '
        'flat_decay_mult bypass_duplicate layer_decay_rate num_layers',
        False,
    ),
    r'optim_wrapper(\.\w+)?\.paramwise_cfg\.custom_keys\.[^.]+': (
        'lr_mult decay_mult',
        False,
    ),
    r'optim_wrapper(\.\w+)?\.clip_grad': (
        'type max_norm norm_type error_if_nonfinite foreach clip_value',
        True,
    ),
    r'model\.test_cfg(\.datasets\.\w+)?': (
        'flip_test flip_mode shift_heatmap shift_coords output_heatmaps '
        'output_keypoint_indices align_corners restore_heatmap_size '
        'multiscale_test input_size blur_kernel_size max_instances '
        'score_threshold score_thr nms_thr nms_pre nms_dist_thr '
        'nms_joints_thr max_num_people num_select dataset datasets '
        'regression_flip_shift_coord max_per_img',
        False,
    ),
    r'model\.train_cfg': (
        'compute_acc max_train_instances token_checkpoint '
        'teacher_checkpoint teacher output_loss',
        False,
    ),
    r'\w+_dataloader(\.\w+)*\.data_prefix': (
        'img ann img_path img_mask depth',
        False,
    ),
    r'\w+_dataloader(\.\w+)*\.metainfo': (
        'from_file dataset_name paper_info keypoint_info skeleton_info '
        'joint_weights sigmas',
        False,
    ),
    r'model\.backbone\.extra': ('stage1 stage2 stage3 stage4', False),
    r'model\.backbone\.extra\.stage\d': (
        'num_modules num_branches block num_blocks num_channels '
        'multiscale_output',
        False,
    ),
    r'model(\.\w+)*\.keypoint_groups\.\d+': ('sparse parts', True),
}
_SECTIONS = [
    (re.compile(k), set(names.split()), closed)
    for k, (names, closed) in SECTIONS.items()
]
#: Types of the values of such sections.
VALUES: dict[str, Any] = {
    'cudnn_benchmark': bool,
    'opencv_num_threads': int,
    'mp_start_method': str,
    'backend': str,
    'base_batch_size': int,
    'enable': bool,
    'allow_failed_imports': bool,
    'norm_type': float | str,
    'seed': int | None,
    'deterministic': bool,
    'diff_rank_seed': bool,
    'flip_test': bool,
    'flip_mode': Literal['heatmap', 'udp_combined', 'offset'],
    'shift_heatmap': bool,
    'num_select': int,
    'score_thr': float,
    'align_corners': bool,
    'restore_heatmap_size': bool,
    'compute_acc': bool,
    'sparse': Sequence,
    'parts': Sequence,
}
#: Added by mmengine to the class's arguments in a loader or optimizer.
LOADER_KEYS = {
    'dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn',
    'num_batch_per_epoch',
}  # fmt: skip
#: Usual keys in ``default_hooks``: of mmengine, mmpose and the runtime base.
HOOK_KEYS = {
    'badcase', 'broadcast_buffers', 'checkpoint', 'finite_loss', 'keypoints',
    'logger', 'param_scheduler', 'runtime_info', 'sampler_seed',
    'schedule_length', 'timer', 'visualization',
}  # fmt: skip


def find_unread_keys(view: View) -> Iterator[Finding]:
    """Find misspelt keys of the top level."""
    known = set(inspect.signature(Runner.__init__).parameters)
    known = known - {'self', 'cfg'} | ALSO_READ
    for key in view.cfg:
        near = None if key in known else find_near(key, known)
        if near is not None and _is_alike(view.cfg[key], near):
            yield Finding(
                key,
                MISSING,
                'nothing reads this key, its value has no effect',
                f'did you mean {near!r}? (another name of your own is legal)',
            )


def _is_alike(value: Any, key: str) -> bool:
    """Tell whether a value could be meant for a key: a section or not."""
    if value is None or key in ('compile', 'efficient_conv_bn_eval'):
        return True
    if key == 'model':
        return isinstance(value, dict)
    return isinstance(value, dict | list | tuple) != (key in SCALARS)


def find_wrong_sections(view: View) -> Iterator[Finding]:
    """Find values of the top level that mmengine cannot take."""
    arguments = read_arguments(Runner)
    for key, value in view.cfg.items():
        hint = arguments.hints.get(key)
        if hint is None or value is None or key in ('cfg', 'model'):
            continue
        expected = find_mismatch(value, arguments, key)
        if (key, type(value)) in (('resume', str), ('log_level', int)):
            continue  # these also work
        if expected is not None:
            yield Finding(
                key,
                value,
                f'the type of the value is wrong, {expected} is expected',
                'give one',
            )


def find_section_keys(view: View) -> Iterator[Finding]:
    """Find unknown keys of sections that have no type."""
    for place, value in walk(view.cfg):
        for pattern, names, is_closed in _SECTIONS:
            if pattern.fullmatch(place):
                yield from _compare(place, value, names, is_closed)
                yield from _check_values(place, value)


def _check_values(place: str, section: dict) -> Iterator[Finding]:
    """Check the types of values whose keys imply them."""
    for key, value in section.items():
        hint = VALUES.get(key)
        if key.endswith(('_mult', '_rate', '_norm')):
            hint = float
        if hint is not None and not fits(value, hint):
            yield Finding(
                f'{place}.{key}',
                value,
                f'the type of the value is wrong, {hint} is expected',
                'give one',
            )


def find_randomness_keys(view: View) -> Iterator[Finding]:
    """Find unknown keys of ``randomness``."""
    names = set(inspect.signature(Runner.set_randomness).parameters) - {'self'}
    given = view.part('randomness').cfg
    yield from _compare('randomness', given, names, True)
    yield from _check_values('randomness', given)


def find_hook_keys(view: View) -> Iterator[Finding]:
    """Find keys of ``default_hooks`` that misspell one that mmengine has."""
    for key, hook in view.part('default_hooks').cfg.items():
        kind = hook.get('type') if isinstance(hook, dict) else None
        names = {*HOOK_KEYS}
        if is_readable(kind):
            names.add(_snake(str(kind).removesuffix('Hook')))
        if key in names:
            continue
        near = find_near(key, names)
        if near is not None:
            remedy = f'did you mean {near!r}?'
        elif isinstance(hook, dict) and kind is None:
            remedy = f'give type=..., or {suggest(key, names)}'
        else:
            continue
        yield Finding(
            f'default_hooks.{key}',
            MISSING,
            'this is not the name of a default hook',
            remedy,
        )


def _snake(name: str) -> str:
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()


def _compare(
    place: str, value: dict, names: set[str], is_closed: bool
) -> Iterator[Finding]:
    """Compare the keys of a section with those that are read."""
    for key in value:
        if key in names or key == '_delete_':
            continue
        if is_closed or find_near(str(key), names):
            yield Finding(
                f'{place}.{key}',
                value[key],
                f'{place} has no such key',
                suggest(str(key), names),
                # A stock config of animals has had such a mistake for years.
                'warning' if 'custom_keys' in place else 'error',
            )


def walk(
    value: Any, place: str = '', skip: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict]]:
    """Yield all dicts in a config with their dotted keys."""
    items: Any = ()
    if isinstance(value, dict):
        if place:
            yield place, value
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list | tuple) and key not in skip:
            yield from walk(
                inner, f'{place}.{key}' if place else str(key), skip
            )

"""Rules: lengths of the run, its schedules, and the best checkpoint."""

from collections.abc import Iterator
from typing import Any, TypeGuard

from mmengine.hooks import CheckpointHook

from .finding import MISSING, Finding, suggest
from .registered import find_class
from .view import LOADERS, View

#: Sections that are only valid together.
TRIPLES = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
COCO_NAMES = (
    'AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)',
    'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)',
)  # fmt: skip
CROWD_NAMES = (
    'AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75', 'AP(E)', 'AP(M)',
    'AP(H)',
)  # fmt: skip
MPII_NAMES = (
    'PCK', 'PCK@0.1', 'Head PCK', 'Shoulder PCK', 'Elbow PCK', 'Wrist PCK',
    'Hip PCK', 'Knee PCK', 'Ankle PCK',
)  # fmt: skip
#: Names of the results of metrics, and their default prefix.
METRIC_NAMES: dict[str, tuple[tuple[str, ...], str]] = {
    'CocoMetric': (COCO_NAMES, 'coco'),
    'CocoWholeBodyMetric': (COCO_NAMES, 'coco-wholebody'),
    'MpiiPCKAccuracy': (MPII_NAMES, ''),
    'AUC': (('AUC',), ''),
    'EPE': (('EPE',), ''),
    'NME': (('NME',), ''),
}
PCK_NAMES = dict(bbox='PCK', head='PCKh', torso='tPCK')
#: Schedules that change the rate in every epoch until they end.
DECAYS = ('Cosine', 'Poly', 'OneCycle')


def find_missing_partners(view: View) -> Iterator[Finding]:
    """Find sections whose partners are missing."""
    for names in TRIPLES:
        given = [name for name in names if view.cfg.get(name) is not None]
        for name in names if 0 < len(given) < 3 else ():
            if name not in given:
                yield Finding(
                    name,
                    view.cfg.get(name, MISSING),
                    f'{" and ".join(given)} cannot be used without it',
                    'give it, or set all three to None',
                )


def find_loop_lengths(view: View) -> Iterator[Finding]:
    """Find lengths and intervals that no run can have."""
    loop = view.part('train_cfg').cfg
    for key in ('max_epochs', 'max_iters', 'val_interval'):
        value = loop.get(key)
        if _is_int(value) and value < 1:
            yield Finding(
                f'train_cfg.{key}',
                value,
                'it must be at least 1',
                'give a positive number'
                + (
                    '; to leave out the validation set val_cfg, '
                    'val_dataloader and val_evaluator to None'
                    if key == 'val_interval'
                    else ''
                ),
            )
    length = loop.get('max_epochs', loop.get('max_iters'))
    begin = loop.get('val_begin')
    if _is_int(length) and _is_int(begin) and begin > length > 0:
        yield Finding(
            'train_cfg.val_begin',
            begin,
            f'the run ends after {length}: there is no validation',
            'begin earlier',
            'warning',
        )


def find_loader_numbers(view: View) -> Iterator[Finding]:
    """Find counts of loaders that PyTorch refuses."""
    for place in LOADERS:
        cfg = view.part(place).cfg
        for key, least in (('batch_size', 1), ('num_workers', 0)):
            value = cfg.get(key, least)
            if value is None and key == 'batch_size':
                continue  # samples one by one
            if not _is_int(value) or value < least:
                yield Finding(
                    f'{place}.{key}',
                    value,
                    f'it must be a whole number, at least {least}',
                    'give such a number',
                )


def find_schedules(view: View) -> Iterator[Finding]:
    """Find schedules that contradict themselves or end before the run."""
    loop = view.part('train_cfg').cfg
    given = view.cfg.get('param_scheduler') or []
    given = [given] if isinstance(given, dict) else given
    if not isinstance(given, list | tuple):
        return
    last: tuple[int, int, dict, int] | None = None
    for i, scheduler in enumerate(given):
        if not isinstance(scheduler, dict):
            continue
        place = f'param_scheduler.{i}'
        by_epoch = scheduler.get('by_epoch', True)
        length = loop.get('max_epochs' if by_epoch else 'max_iters')
        yield from _check_span(place, scheduler)
        yield from _check_milestones(place, scheduler)
        yield from _check_conversion(place, scheduler)
        if not _is_int(length) or length < 1:
            continue
        begin, end = scheduler.get('begin', 0), scheduler.get('end', length)
        yield from _check_cosine(place, scheduler, min(end, length) - begin)
        if last is None or end > last[1]:
            last = i, end, scheduler, length
    if last is None:
        return
    i, end, scheduler, length = last
    if end < length and str(scheduler.get('type')).startswith(DECAYS):
        yield Finding(
            f'param_scheduler.{i}.end',
            end,
            f'the run has {length}: the rate stands still afterwards',
            f'set it to {length}, or leave it out',
            'warning',
        )


def find_mixed_units(view: View) -> Iterator[Finding]:
    """Find epochs in a loop over iterations, and the reverse."""
    loop = view.part('train_cfg')
    if loop.get('by_epoch') is False or loop.kind == 'IterBasedTrainLoop':
        given = view.cfg.get('param_scheduler') or []
        given = [given] if isinstance(given, dict) else given
        parts = [(f'param_scheduler.{i}', s) for i, s in enumerate(given)]
        hook = view.part('default_hooks').child('checkpoint')
        for place, cfg in (*parts, (hook.place, hook.cfg)):
            if isinstance(cfg, dict) and cfg and cfg.get('by_epoch', True):
                yield Finding(
                    f'{place}.by_epoch',
                    cfg.get('by_epoch', MISSING),
                    'the loop counts iterations, its epochs never end',
                    'set by_epoch=False, and lengths in iterations',
                    'warning',
                )
    elif 'max_epochs' in loop.cfg:
        sampler = view.part('train_dataloader').child('sampler')
        if sampler.kind == 'InfiniteSampler':
            yield Finding(
                f'{sampler.place}.type',
                sampler.kind,
                'the first epoch would never end',
                "take 'DefaultSampler', or train_cfg.by_epoch=False",
            )


def _check_span(place: str, scheduler: dict) -> Iterator[Finding]:
    begin, end = scheduler.get('begin', 0), scheduler.get('end')
    if _is_int(begin) and _is_int(end) and end <= begin:
        yield Finding(
            f'{place}.end',
            end,
            f'it must be larger than begin={begin}',
            'give a larger one',
        )


def _check_conversion(place: str, scheduler: dict) -> Iterator[Finding]:
    by_epoch = scheduler.get('by_epoch', True)
    if scheduler.get('convert_to_iter_based') and not by_epoch:
        yield Finding(
            f'{place}.convert_to_iter_based',
            True,
            f'{place}.by_epoch=False: there is nothing to convert',
            'set by_epoch=True, or leave it out',
        )


def _check_milestones(place: str, scheduler: dict) -> Iterator[Finding]:
    milestones, end = scheduler.get('milestones'), scheduler.get('end')
    if milestones and _is_int(end) and max(milestones) >= end:
        yield Finding(
            f'{place}.milestones',
            milestones,
            f'the schedule ends at {end}, before all are reached',
            'end later, or leave end out',
            'warning',
        )


def _check_cosine(place: str, scheduler: dict, span: int) -> Iterator[Finding]:
    period = scheduler.get('T_max')
    if _is_int(period) and 0 < period < span:
        yield Finding(
            f'{place}.T_max',
            period,
            f'the schedule runs for {span}: the rate rises again after T_max',
            f'set it to {span}, or leave it out',
            'warning',
        )


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


# ---------------------------------------------------------- best checkpoint


def find_best_checkpoint(view: View) -> Iterator[Finding]:
    """Find a ``save_best`` that no metric returns, or without a rule."""
    hook = view.part('default_hooks').child('checkpoint')
    asked = hook.cfg.get('save_best')
    if not asked or not view.cfg.get('train_cfg'):
        return
    place = f'{hook.place}.save_best'
    if not view.cfg.get('val_evaluator'):
        yield Finding(
            place,
            asked,
            'there is no validation that could tell the best',
            'give val_evaluator, val_dataloader and val_cfg, or leave it out',
            'warning',
        )
        return
    names = metric_names(view.cfg['val_evaluator'])
    if names is None:
        return
    if asked == 'auto':
        yield from _check_rule(view, names[0])
        return
    for key in [asked] if isinstance(asked, str) else asked:
        if key not in names:
            yield Finding(
                place,
                key,
                'no metric of val_evaluator gives it',
                suggest(key, names),
            )
            return
    yield from _check_rule(view, asked)


def _check_rule(view: View, key: Any) -> Iterator[Finding]:
    """Let the hook infer whether a larger value is better."""
    hook = view.part('default_hooks').child('checkpoint')
    cls = find_class(hook.cfg, hook.place) or CheckpointHook
    options = {
        name: hook.cfg[name]
        for name in ('rule', 'greater_keys', 'less_keys')
        if name in hook.cfg
    }
    try:
        cls(save_best=key, **options)
    except (ValueError, KeyError) as error:
        if 'rule' not in str(error):
            return
        yield Finding(
            f'{hook.place}.rule',
            hook.cfg.get('rule', MISSING),
            f'whether a larger {key} is better cannot be inferred',
            "set it to 'greater' or 'less'",
        )


def metric_names(evaluator: Any) -> list[str] | None:
    """Return the names of the results of an evaluator; None if unknown."""
    if isinstance(evaluator, list | tuple):
        found = [metric_names(metric) for metric in evaluator]
        if None in found:
            return None
        return [name for names in found for name in names or ()]
    metrics = evaluator.get('metrics')
    if evaluator.get('type') == 'PerDatasetEvaluator':
        return metric_names(
            [dict(metric, prefix=name) for name, metric in metrics.items()]
        )
    if evaluator.get('type') in ('MultiDatasetEvaluator', 'Evaluator'):
        return metric_names(metrics)
    kind = evaluator.get('type')
    if kind == 'PCKAccuracy':
        items = evaluator.get('norm_item', 'bbox')
        items = [items] if isinstance(items, str) else items
        names, prefix = tuple(PCK_NAMES[item] for item in items), ''
    elif kind in METRIC_NAMES:
        names, prefix = METRIC_NAMES[kind]
        if evaluator.get('iou_type') == 'keypoints_crowd':
            names = CROWD_NAMES
    else:
        return None
    prefix = evaluator.get('prefix') or prefix
    return [f'{prefix}/{name}' if prefix else name for name in names]

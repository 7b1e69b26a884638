"""Rules: values that no run can use, or that contradict the estimator."""

import importlib.util
import math
from collections.abc import Iterator
from typing import Any, TypeGuard

from mmengine.config.utils import MODULE2PACKAGE

from .agreements import find_metrics
from .finding import Finding, find_near, suggest
from .registered import find_class
from .view import LOADERS, View

#: ``data_mode`` of the datasets of an estimator, by its base class.
DATA_MODES = {
    'TopdownPoseEstimator': 'topdown',
    'BottomupPoseEstimator': 'bottomup',
}
#: Values that arguments of CocoMetric may have.
METRIC_MODES = {
    'nms_mode': ('oks_nms', 'soft_oks_nms', 'none'),
    'score_mode': ('bbox', 'bbox_keypoint', 'bbox_rle', 'keypoint'),
}
#: How mmengine starts several processes.
LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def find_scope(view: View) -> Iterator[Finding]:
    """Find a scope that misspells that of a package."""
    scope, known = view.cfg.get('default_scope'), {*MODULE2PACKAGE, 'mmengine'}
    if not isinstance(scope, str) or scope in known:
        return
    near = find_near(scope, known)
    if near is not None and importlib.util.find_spec(scope) is None:
        yield Finding(
            'default_scope',
            scope,
            'no package has this scope',
            f'did you mean {near!r}?',
        )


def find_launcher(view: View) -> Iterator[Finding]:
    """Find a launcher that mmengine does not have."""
    launcher = view.cfg.get('launcher', 'none')
    if launcher not in LAUNCHERS:
        yield Finding(
            'launcher',
            launcher,
            'mmengine has no such launcher',
            suggest(str(launcher), LAUNCHERS),
        )


def find_loaders(view: View) -> Iterator[Finding]:
    """Find loaders that are not dicts; a built loader may be anything."""
    for place in LOADERS:
        value = view.cfg.get(place)
        if isinstance(value, str | int | float | list | tuple):
            yield Finding(
                place,
                value,
                'a loader is a dict with dataset, sampler and batch_size',
                'give one, or None',
            )


def find_data_modes(view: View) -> Iterator[Finding]:
    """Compare the samples of datasets with those that the estimator takes."""
    model = view.network.model
    cls = find_class(model.cfg, model.place)
    names = [base.__name__ for base in getattr(cls, '__mro__', ())]
    right = next((DATA_MODES[n] for n in names if n in DATA_MODES), None)
    for leaf in view.leaves if right else ():
        mode = leaf.dataset.get('data_mode')
        if mode in DATA_MODES.values() and mode != right:
            yield Finding(
                f'{leaf.dataset.place}.data_mode',
                mode,
                f'{model.kind} takes samples of '
                f'{"a person" if right == "topdown" else "an image"} each',
                f'set it to {right!r}',
            )


def find_metric_modes(view: View) -> Iterator[Finding]:
    """Find words that the metrics of COCO refuse when they are built."""
    for name in ('val_evaluator', 'test_evaluator'):
        for metric in find_metrics(name, view.cfg.get(name)):
            cls = find_class(metric.cfg, metric.place)
            names = [base.__name__ for base in getattr(cls, '__mro__', ())]
            for key, legal in METRIC_MODES.items():
                value = metric.cfg.get(key, legal[0])
                if 'CocoMetric' in names and value not in legal:
                    yield Finding(
                        f'{metric.place}.{key}',
                        value,
                        f'{metric.kind} has no such mode',
                        suggest(str(value), legal),
                    )


def find_zero_std(view: View) -> Iterator[Finding]:
    """Find a standard deviation that images cannot be divided by."""
    for part in (
        view.part('model').child('data_preprocessor'),
        view.part('data_preprocessor'),
    ):
        std = part.cfg.get('std')
        values = std if isinstance(std, list | tuple) else [std]
        if any(_is_number(value) and not value > 0 for value in values):
            yield Finding(
                f'{part.place}.std',
                std,
                'images are divided by it: each value must be above 0',
                'give that of the data, as [58.395, 57.12, 57.375], or 1',
            )


def find_learning_rates(view: View) -> Iterator[Finding]:
    """Find learning rates at which nothing is learned."""
    wrapper = view.part('optim_wrapper')
    parts = [wrapper, *(wrapper.child(key) for key in wrapper.cfg)]
    for optimizer in (part.child('optimizer') for part in parts):
        rate = optimizer.cfg.get('lr')
        if _is_number(rate) and not 0 < rate < math.inf:
            yield Finding(
                f'{optimizer.place}.lr',
                rate,
                'a learning rate must be above 0 and finite',
                'give such a number; FreezeHook keeps weights as they are',
            )


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)

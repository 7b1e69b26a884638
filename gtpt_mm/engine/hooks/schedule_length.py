"""Warn if a schedule ends at another step than the training."""

from mmengine.hooks import Hook
from mmengine.optim import PolyParamScheduler, _ParamScheduler
from mmengine.runner import Runner
from mmpose.registry import HOOKS

#: Negligible difference, as a fraction of the training.
TOLERANCE = 0.01


@HOOKS.register_module()
class ScheduleLengthHook(Hook):
    """Warn if a cosine or a polynomial does not last as long as the training.

    mmengine's ``CosineAnnealingLR`` climbs back after ``T_max``, and a
    schedule with an ``end`` keeps its last value. Both happen silently if
    ``max_epochs`` is changed in a config that sets ``T_max`` or ``end``.
    Schedules that are followed by another one of the same parameter are
    ignored.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the schedules that the runner has built."""
        schedulers = runner.param_schedulers or []
        if isinstance(schedulers, dict):
            schedulers = [s for group in schedulers.values() for s in group]
        for scheduler in schedulers:
            if words := _describe(scheduler, schedulers, runner):
                runner.logger.warning(words)


def _describe(
    scheduler: _ParamScheduler,
    schedulers: list[_ParamScheduler],
    runner: Runner,
) -> str:
    """Describe the effect on the parameter; '' if the lengths agree."""
    if hasattr(scheduler, 'T_max'):
        minimum = scheduler.begin + scheduler.T_max
    elif isinstance(scheduler, PolyParamScheduler):
        minimum = scheduler.end
    else:
        return ''
    length, name = _run_length(scheduler, runner), scheduler.param_name
    slack, stop = TOLERANCE * length, min(minimum, scheduler.end)
    if stop >= length - slack:
        if minimum <= length + slack:
            return ''
        stop = minimum
        effect = f'the training ends before {name} is at its minimum'
    elif _is_continued(name, (stop - slack) / length, schedulers, runner):
        return ''
    elif scheduler.end > stop + slack:
        effect = f'{name} climbs back from there on'
    else:
        effect = f'{name} stands still from there on'
    at = f'epoch {stop}'
    if not scheduler.by_epoch:
        at = f'step {stop}'
        if runner.max_epochs > 1:
            at += f' (epoch {stop // len(runner.train_dataloader)})'
    return (
        f'{type(scheduler).__name__} lasts until {at}, the training until '
        f'{length}: {effect}. Without T_max and end it lasts as long as the '
        'training.'
    )


def _is_continued(
    name: str,
    since: float,
    schedulers: list[_ParamScheduler],
    runner: Runner,
) -> bool:
    """Whether a schedule of a parameter begins after a part of the run."""
    begins = [
        other.begin / _run_length(other, runner)
        for other in schedulers
        if other.param_name == name
    ]
    return any(since <= begin < 1 for begin in begins)


def _run_length(scheduler: _ParamScheduler, runner: Runner) -> int:
    """Return the length of the training in the unit of a schedule."""
    return runner.max_epochs if scheduler.by_epoch else runner.max_iters

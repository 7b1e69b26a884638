"""Curriculum: learn the body first, the whole body afterwards."""

from collections.abc import Sequence

from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseAveragedModel, BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from .cosine_ema import CosineEMA, CosineEMAHook
from .unwrap import unwrap_model


@HOOKS.register_module()
class CurriculumHook(Hook):
    """Supervise the body's keypoints first, all keypoints afterwards.

    Dense keypoints (face, hands, feet) outnumber the body's and would
    dominate the loss from the start. For the first ``switch_epoch`` epochs
    only the sparse keypoints enter it. At the switch the model takes its
    averaged weights, and average, optimizer state and, with
    ``param_scheduler``, learning rate restart. Validation always predicts all
    keypoints.

    The state of the switch is saved (key ``curriculum``), so that a resumed
    training equals an uninterrupted one.

    Source: Wang et al., "GTPT", ECCV 2024, end of Sec. 3.5, and supplement
    A. The official code trains twice instead: :class:`InitFromHook`.

    Args:
        switch_epoch: Number of epochs with only the body's keypoints, below
            ``max_epochs``.
        keypoints: Indices that are supervised before the switch; None takes
            the sparse ones of the backbone's groups.
        param_scheduler: Schedule after the switch, as in a config; its epochs
            and iterations count from the switch, where the learning rate
            returns to its initial value. None continues the schedule of the
            training.
        lr_ratio: Factor on the initial learning rate at the switch, > 0;
            requires ``param_scheduler``.
        reset_optimizer: Whether the switch clears the optimizer's state
            (Adam's moments).
        average: What the switch does with the average of the EMA hook:
            ``'adopt'``, the model takes it and it restarts from there;
            ``'restart'``, it restarts from the trained weights; ``'keep'``,
            it continues, or there is none. If it restarts, its schedule takes
            the length of each stage.

    Raises:
        ValueError: If an option is out of range, or contradicts another one
            or the training.
    """

    # Before the EMA hook, whose schedule it sets.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        switch_epoch: int,
        keypoints: Sequence[int] | None = None,
        param_scheduler: list[dict] | dict | None = None,
        lr_ratio: float = 1.0,
        reset_optimizer: bool = True,
        average: str = 'adopt',
    ) -> None:
        if switch_epoch <= 0:
            raise ValueError(
                f'switch_epoch must be positive, got {switch_epoch}'
            )
        if lr_ratio <= 0 or (lr_ratio != 1 and param_scheduler is None):
            raise ValueError(
                'lr_ratio must be positive and requires param_scheduler, got '
                f'{lr_ratio=}, {param_scheduler=}'
            )
        if average not in ('adopt', 'restart', 'keep'):
            raise ValueError(
                "average must be 'adopt', 'restart' or 'keep', "
                f'got {average!r}'
            )
        self.switch_epoch = switch_epoch
        self.keypoints = keypoints
        self.param_scheduler = param_scheduler
        self.lr_ratio = lr_ratio
        self.reset_optimizer = reset_optimizer
        self.average = average
        self.switched_at: int | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the stage of a resumed training.

        mmengine loads the states of the schedulers right after this, so the
        runner needs those of the stage by now.

        Raises:
            ValueError: If the checkpoint switched at another epoch.
        """
        if not runner._resume:  # mmengine has no public way; EMAHook does so
            return
        epoch = checkpoint['meta']['epoch']
        self.switched_at = checkpoint.get('curriculum', {}).get('switched_at')
        # A checkpoint of the switch's epoch may be of either stage.
        if self.switched_at is None:
            agrees = epoch <= self.switch_epoch
        else:
            agrees = self.switched_at == self.switch_epoch <= epoch
        if not agrees:
            raise ValueError(
                f'the checkpoint of epoch {epoch} switched at '
                f'{self.switched_at}, not at switch_epoch='
                f'{self.switch_epoch}; resume with that of its run'
            )
        if self.switched_at is not None and self.param_scheduler is not None:
            runner.param_schedulers = self._build_schedulers(runner)

    def before_train(self, runner: Runner) -> None:
        """Check the training; supervise the body unless the switch is over."""
        model = unwrap_model(runner.model)
        if self.switch_epoch >= runner.max_epochs:
            raise ValueError(
                f'switch_epoch={self.switch_epoch} must be below max_epochs, '
                f'and this training has {runner.max_epochs} epochs'
            )
        if not hasattr(model.head, 'supervise'):
            raise ValueError(
                'CurriculumHook requires a head with a method supervise(), '
                f'as GTPTHead, got {type(model.head).__name__}'
            )
        self._find_average(runner)
        if self.switched_at is None:
            keypoints = self._body_keypoints(model)
            model.head.supervise(keypoints)
            runner.logger.info(
                f'Curriculum: {len(keypoints)} keypoints are supervised '
                f'until epoch {self.switch_epoch}, then all.'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch when it is due; set the length of the average's stage."""
        if self.switched_at is None and runner.epoch >= self.switch_epoch:
            self._switch(runner)
        average = self._find_average(runner)
        if isinstance(average, CosineEMA):
            epochs = self.switch_epoch
            if self.switched_at is not None:
                epochs = runner.max_epochs - self.switch_epoch
            average.set_length(epochs * len(runner.train_dataloader))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the epoch of the switch, in plain types."""
        checkpoint['curriculum'] = dict(switched_at=self.switched_at)

    def _body_keypoints(self, model: BaseModel) -> list[int]:
        if self.keypoints is not None:
            return list(self.keypoints)
        groups = getattr(model.backbone, 'groups', None)
        if groups is None or not groups.dense:
            raise ValueError(
                f'{type(model.backbone).__name__} has no dense keypoints to '
                'postpone; set CurriculumHook(keypoints=[...])'
            )
        return groups.sparse

    def _switch(self, runner: Runner) -> None:
        """Begin the second stage."""
        model = unwrap_model(runner.model)
        model.head.supervise(None)
        average = self._find_average(runner)
        if average is not None:
            source, target = model, average.module
            if self.average == 'adopt':
                source, target = target, source
            target.load_state_dict(source.state_dict())
            average.steps.zero_()
        if self.reset_optimizer:
            for wrapper in _optim_wrappers(runner):
                wrapper.optimizer.state.clear()
        if self.param_scheduler is not None:
            self._restart_rates(runner)
            runner.param_schedulers = self._build_schedulers(runner)
        self.switched_at = runner.epoch
        rates = {k: v[0] for k, v in runner.optim_wrapper.get_lr().items()}
        runner.logger.info(
            f'Curriculum: after {runner.epoch} epochs all keypoints are '
            f'supervised; average: {self.average}; optimizer '
            f'{"reset" if self.reset_optimizer else "kept"}; learning rate '
            f'{rates}.'
        )

    def _restart_rates(self, runner: Runner) -> None:
        """Return to the values that the first schedule started from."""
        for wrapper in _optim_wrappers(runner):
            for group in wrapper.param_groups:
                group.setdefault('initial_lr', group['lr'])
                group['initial_lr'] *= self.lr_ratio
                for key in [k for k in group if k.startswith('initial_')]:
                    group[key.removeprefix('initial_')] = group[key]

    def _build_schedulers(self, runner: Runner) -> list | dict:
        epochs = runner.max_epochs - self.switch_epoch
        iters = epochs * len(runner.train_dataloader)
        return runner.build_param_scheduler(
            _with_end(self.param_scheduler, epochs, iters)
        )

    def _find_average(self, runner: Runner) -> BaseAveragedModel | None:
        """Return the average if the switch restarts it."""
        if self.average == 'keep':
            return None
        hook = next((h for h in runner.hooks if isinstance(h, EMAHook)), None)
        if hook is None:
            raise ValueError(
                f'average={self.average!r} requires an EMA hook; add '
                "dict(type='CosineEMAHook') to custom_hooks, or set "
                "average='keep'"
            )
        if isinstance(hook, CosineEMAHook) and hook.total_epochs is not None:
            raise ValueError(
                f'total_epochs={hook.total_epochs} of CosineEMAHook '
                f'contradicts average={self.average!r} of CurriculumHook, '
                'which sets the length of each stage; leave total_epochs out'
            )
        return hook.ema_model


def _optim_wrappers(runner: Runner) -> list[OptimWrapper]:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return list(wrapper.values())
    return [wrapper]


def _with_end(
    config: list | dict | None, epochs: int, iters: int
) -> list | dict:
    """Let schedulers without an end last until the training ends.

    mmengine would count their end from the beginning of the training.
    """
    if isinstance(config, dict) and 'type' in config:
        end = epochs if config.get('by_epoch', True) else iters
        return dict(end=end) | dict(config)
    if isinstance(config, dict):
        return {k: _with_end(v, epochs, iters) for k, v in config.items()}
    return [_with_end(item, epochs, iters) for item in config or ()]

"""Curriculum: learn the body first, the whole body afterwards."""

from collections.abc import Sequence

from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseAveragedModel, is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmpose.registry import HOOKS
from torch import nn

from gtpt_mm.engine.body_weights import find_checkpoint, load_body_weights

from .cosine_ema import CosineEMA, CosineEMAHook

#: What a whole-body run adds to the model of a body run.
BORN_LATER = {'backbone.part_embed', 'backbone.dense_embed'}


@HOOKS.register_module()
class CurriculumHook(Hook):
    """Train a whole-body model on the body's keypoints first.

    Dense keypoints (face, hands, feet) outnumber the body's and would rule
    the optimisation from the start. There are two ways to put the body
    first; at least one must be chosen:

    - **Two runs**, as the authors do: ``init_from`` names a checkpoint of a
      body run. Its averaged weights are loaded before the first step; part
      and dense embeddings are new. Not when a training is resumed.
    - **One run**: for the first ``switch_epoch`` epochs only the sparse
      keypoints enter the loss; afterwards all do. At the switch the model
      takes its averaged weights, and average, optimizer state and, with
      ``param_scheduler``, learning rate start anew. Validation predicts all
      keypoints all the time.

    The state of the switch is saved (key ``curriculum``), so that a resumed
    training goes on as an uninterrupted one.

    Source: Wang et al., "GTPT", ECCV 2024, end of Sec. 3.5, and supplement
    A; that the average is what the second stage starts from, the authors'
    code.

    Args:
        init_from: Checkpoint of a body run, ours or the authors', or a work
            folder with one ``best_*.pth``.
        switch_epoch: Number of epochs with the body's keypoints alone, below
            ``max_epochs``.
        keypoints: Indices that are supervised before the switch; None takes
            the sparse ones of the backbone's groups.
        param_scheduler: Schedule after the switch, as a config's; its epochs
            and iterations count from the switch, where the learning rate
            returns to its initial value. None lets the training's own
            schedule go on.
        lr_ratio: Factor on the initial learning rate at the switch, > 0;
            with ``param_scheduler``.
        reset_optimizer: Whether the switch clears the optimizer's state
            (Adam's moments).
        average: What the switch does with the average of the EMA hook:
            ``'adopt'``, the model takes it and it starts anew from there;
            ``'restart'``, it starts anew from the trained weights;
            ``'keep'``, it goes on, or there is none. If it starts anew, its
            schedule takes the length of each stage.

    Raises:
        ValueError: If neither way is chosen, or options contradict each
            other or the training.
    """

    # Before the EMA hook, whose average starts from the loaded weights.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        init_from: str | None = None,
        switch_epoch: int | None = None,
        keypoints: Sequence[int] | None = None,
        param_scheduler: list[dict] | dict | None = None,
        lr_ratio: float = 1.0,
        reset_optimizer: bool = True,
        average: str = 'adopt',
    ) -> None:
        if init_from is None and switch_epoch is None:
            raise ValueError(
                'CurriculumHook needs init_from (two runs: the checkpoint of '
                'the body run) or switch_epoch (one run), got neither'
            )
        if switch_epoch is not None and switch_epoch <= 0:
            raise ValueError(
                f'switch_epoch must be positive, got {switch_epoch}'
            )
        if switch_epoch is None and (
            keypoints is not None or param_scheduler is not None
        ):
            raise ValueError(
                'keypoints and param_scheduler are of the switch: set '
                'switch_epoch, too'
            )
        if lr_ratio <= 0 or (lr_ratio != 1 and param_scheduler is None):
            raise ValueError(
                'lr_ratio must be positive and needs param_scheduler, got '
                f'lr_ratio={lr_ratio}, param_scheduler={param_scheduler}'
            )
        if average not in ('adopt', 'restart', 'keep'):
            raise ValueError(
                "average must be 'adopt', 'restart' or 'keep', got "
                f'{average!r}'
            )
        self.init_from = init_from
        self.switch_epoch = switch_epoch
        self.keypoints = keypoints
        self.param_scheduler = param_scheduler
        self.lr_ratio = lr_ratio
        self.reset_optimizer = reset_optimizer
        self.average = average
        self.switched_at: int | None = None
        self._load_from_used = False

    # --- what mmengine calls -----------------------------------------------

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Read where a resumed training stands.

        mmengine loads the states of the schedulers right after this, into
        those that the runner has then: after the switch, the later ones.
        """
        if not runner._resume:  # mmengine has no public way; EMAHook does so
            self._load_from_used = True
            return
        if self.switch_epoch is None:
            return
        self.switched_at = checkpoint.get('curriculum', {}).get('switched_at')
        epoch = checkpoint['meta']['epoch']
        expected = set()
        if epoch <= self.switch_epoch:
            expected.add(None)
        if epoch >= self.switch_epoch:  # equal: saved in the epoch's middle
            expected.add(self.switch_epoch)
        if self.switched_at not in expected:
            raise ValueError(
                f'the checkpoint of epoch {epoch} switched its supervision '
                f'at {self.switched_at}, which does not go with '
                f'switch_epoch={self.switch_epoch}; resume with the '
                'switch_epoch of the interrupted run'
            )
        if self.switched_at is not None and self.param_scheduler is not None:
            runner.param_schedulers = self._build_schedulers(runner)

    def before_train(self, runner) -> None:
        """Load the body's weights; supervise the body."""
        model = _unwrap(runner.model)
        if self.init_from is not None and runner.iter == 0:
            self._load(runner, model)
        if self.switch_epoch is None:
            return
        self._check(runner, model)
        if self.switched_at is None:
            keypoints = self._body_keypoints(model)
            model.head.supervise(keypoints)
            runner.logger.info(
                f'Curriculum: {len(keypoints)} keypoints are supervised '
                f'until epoch {self.switch_epoch}, then all.'
            )

    def before_train_epoch(self, runner) -> None:
        """Switch when it is time; tell the average how long a stage is."""
        if self.switch_epoch is None:
            return
        if self.switched_at is None and runner.epoch >= self.switch_epoch:
            self._switch(runner)
        ema_model = self._ema_model(runner)
        if isinstance(ema_model, CosineEMA):
            ema_model.total_iters = self._stage_epochs(runner) * len(
                runner.train_dataloader
            )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Save when the switch was, in plain types."""
        if self.switch_epoch is not None:
            checkpoint['curriculum'] = dict(switched_at=self.switched_at)

    # --- two runs ----------------------------------------------------------

    def _load(self, runner, model: nn.Module) -> None:
        if self._load_from_used:
            raise ValueError(
                f'init_from={self.init_from!r} would overwrite the weights '
                'of load_from; set only one of them'
            )
        path = find_checkpoint(self.init_from)
        found = load_body_weights(model, path)
        runner.logger.info(f'Curriculum: {path}: {found}.')
        surprising = found.left_out + sorted(set(found.new) - BORN_LATER)
        if surprising:
            runner.logger.warning(
                'Curriculum: a body model of the same arch differs in '
                f'{", ".join(sorted(BORN_LATER))} only, this one also in '
                f'{", ".join(surprising)}.'
            )

    # --- one run -----------------------------------------------------------

    def _check(self, runner, model: nn.Module) -> None:
        """Raise if the training cannot do what was configured."""
        if self.switch_epoch >= runner.max_epochs:
            raise ValueError(
                f'switch_epoch={self.switch_epoch} is never reached in '
                f'{runner.max_epochs} epochs; lower it, or raise max_epochs '
                '(the training must count in epochs)'
            )
        if not hasattr(model.head, 'supervise'):
            raise ValueError(
                'CurriculumHook(switch_epoch=...) needs a head with a method '
                f'supervise(), as GTPTHead, got {type(model.head).__name__}'
            )
        if self.average == 'keep':
            return
        hook = _ema_hook(runner)
        if hook is None:
            raise ValueError(
                f'average={self.average!r} needs an EMA hook; add '
                "dict(type='CosineEMAHook') to custom_hooks, or set "
                "average='keep'"
            )
        if isinstance(hook, CosineEMAHook) and hook.total_epochs is not None:
            raise ValueError(
                f'total_epochs={hook.total_epochs} of CosineEMAHook and '
                f'average={self.average!r} of CurriculumHook, which sets the '
                'length of each stage, contradict each other; leave '
                "total_epochs out, or set average='keep'"
            )

    def _body_keypoints(self, model: nn.Module) -> list[int]:
        if self.keypoints is not None:
            return list(self.keypoints)
        groups = getattr(model.backbone, 'groups', None)
        if groups is None or not groups.dense:
            raise ValueError(
                f'the backbone {type(model.backbone).__name__} has no dense '
                'keypoints to postpone; name the keypoints to begin with: '
                'CurriculumHook(keypoints=[...])'
            )
        return groups.sparse

    def _switch(self, runner) -> None:
        """Begin the second stage."""
        model = _unwrap(runner.model)
        model.head.supervise(None)
        ema_model = self._ema_model(runner)
        if ema_model is not None:
            if self.average == 'adopt':
                model.load_state_dict(ema_model.module.state_dict())
            else:
                ema_model.module.load_state_dict(model.state_dict())
            ema_model.steps.zero_()
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

    def _restart_rates(self, runner) -> None:
        """Return to the values that the first schedule started from."""
        for wrapper in _optim_wrappers(runner):
            for group in wrapper.param_groups:
                group.setdefault('initial_lr', group['lr'])
                group['initial_lr'] *= self.lr_ratio
                for key in [k for k in group if k.startswith('initial_')]:
                    group[key.removeprefix('initial_')] = group[key]

    def _build_schedulers(self, runner) -> list | dict:
        epochs = runner.max_epochs - self.switch_epoch
        iters = epochs * len(runner.train_dataloader)
        return runner.build_param_scheduler(
            _with_end(self.param_scheduler, epochs, iters)
        )

    def _ema_model(self, runner) -> BaseAveragedModel | None:
        """Return the average that the switch restarts, if it does."""
        if self.average == 'keep':
            return None
        return _ema_hook(runner).ema_model

    def _stage_epochs(self, runner) -> int:
        if self.switched_at is None:
            return self.switch_epoch
        return runner.max_epochs - self.switch_epoch


def _unwrap(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _ema_hook(runner) -> EMAHook | None:
    return next((h for h in runner.hooks if isinstance(h, EMAHook)), None)


def _optim_wrappers(runner) -> list:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return list(wrapper.values())
    return [wrapper]


def _with_end(config, epochs: int, iters: int):
    """Let schedules without an end last to that of the training.

    mmengine would count it from the beginning of the training.
    """
    if isinstance(config, dict) and 'type' in config:
        end = epochs if config.get('by_epoch', True) else iters
        return dict(end=end) | dict(config)
    if isinstance(config, dict):
        return {k: _with_end(v, epochs, iters) for k, v in config.items()}
    return [_with_end(item, epochs, iters) for item in config]

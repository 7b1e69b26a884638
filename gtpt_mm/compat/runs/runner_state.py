"""Save the whole state of a training in its checkpoints.

Broken: checkpoints of mmengine <= 0.10.7 hold neither the generators, nor the
buffers of other processes than the first (each has BatchNorm statistics of
its own), nor gradients that are being accumulated, nor the count of
EarlyStoppingHook, nor the place in an epoch. A file without optimizer state
is resumed as if it were whole, and so is one of another batch size. Schedules
take over the attributes of saved ones of any type.

Here: a hook in every runner writes these under ``exact_resume`` and restores
them. A resume that cannot be exact is refused, with a remedy in the error;
``resume_with_other_batch_size=True`` in the config allows another batch size
or another number of processes.

Can go: when mmengine saves generators and refuses such files.
"""

import functools
import hashlib
from typing import Any

import torch
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_rank,
    get_world_size,
)
from mmengine.hooks import (
    CheckpointHook,
    EarlyStoppingHook,
    EMAHook,
    Hook,
)
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict, _ParamScheduler

from ..files.loaded_tensors import check_finite
from ..messages import list_some, warn
from .data_loading import SeededLoader
from .generators import read_states, restore_states
from .nodes import agree
from .train_loops import ExactLoop

KEY = 'exact_resume'
_ONE_FILE = 'Resume from a file that all nodes share'
_SAME_DATA = (
    'Each process reads its share of one list of samples: give all nodes the '
    'same annotation files and settings'
)
SWITCH = 'resume_with_other_batch_size'


class ExactResumeHook(Hook):
    """Save and restore the state that mmengine leaves out of checkpoints.

    ``ranks`` is filled by all processes before the first one saves.
    """

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.ranks: list[dict] = []
        self.loaded: dict = {}
        self.schedules: int | None = None

    def collect(self, runner: Any) -> None:
        """Gather the state of each process; all processes must call this."""
        mine = read_states()
        if not _has_updated(runner.optim_wrapper):
            mine['gradients'] = {
                name: parameter.grad.cpu()
                for name, parameter in _model(runner).named_parameters()
                if parameter.grad is not None
            }
        self.ranks = [mine]
        if get_world_size() > 1:
            mine['buffers'] = _other_buffers(runner)
            self.ranks = list(all_gather_object(mine) or ())

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add generators, buffers, seeds and the place in the epoch."""
        loop = runner.train_loop
        state: dict = dict(ranks=self.ranks, optimizer=_optimizer(runner))
        if isinstance(loop, ExactLoop):
            state['place'] = loop.read_place(checkpoint['meta'])
            seed = getattr(_order(loop.dataloader), 'seed', None)
            state['order_seed'] = seed
        for hook in _early_stopping(runner):
            state['early'] = [hook.wait_count, hook.best_score]
            state['stop'] = loop.stop_training
        checkpoint[KEY] = state

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Refuse a file that cannot be resumed; keep its state for later."""
        if not runner._resume:
            return
        whats = {
            'epoch and iteration': 'iter' in checkpoint.get('meta', {}),
            'optimizer state': 'optimizer' in checkpoint,
        }
        for what, is_there in whats.items():
            if not is_there:
                raise ValueError(
                    f'cannot resume from {runner._load_from or "the file"}: '
                    f'it holds no {what}. To start a new training from its '
                    'weights, set load_from to it and leave out resume'
                )
        _check_shapes(runner, checkpoint.get('state_dict', {}))
        for key in ('state_dict', 'ema_state_dict'):
            source = f'{key} of {runner._load_from or "the checkpoint"}'
            check_finite(checkpoint.get(key, {}), source)
        self.loaded = checkpoint.get(KEY, {}) or dict(ranks=[])
        _check_optimizer(runner, self.loaded.get('optimizer'))
        self.schedules = _count(checkpoint.get('param_schedulers'))
        meta = {k: checkpoint['meta'].get(k) for k in ('iter', 'time')}
        agree('the checkpoint to resume', meta, _ONE_FILE)
        if isinstance(runner.train_loop, ExactLoop) and 'place' in self.loaded:
            _check_batches(runner, self.loaded['place'])

    def before_train(self, runner: Any) -> None:
        """Continue where the checkpoint was written."""
        state, self.loaded = self.loaded, {}
        loop = runner.train_loop
        if isinstance(loop, ExactLoop):
            agree('the training data', loop.read_batches(), _SAME_DATA)
        if not state:
            return
        # Checked here, since the schedules of a curriculum's stage are built
        # after loading.
        num = _count(runner.param_schedulers)
        if self.schedules and self.schedules != num:
            raise ValueError(
                f'cannot resume from {runner._load_from or "the file"}: it '
                f'has {self.schedules} schedules, the config has {num}. '
                f'{_SCHEDULE_REMEDY}'
            )
        if isinstance(loop, ExactLoop):
            loop.resume_at(state.get('place') or loop.guess_place())
            # Loaders were built before the seed of the checkpoint was known.
            for each in filter(None, (loop, runner.val_loop)):
                _set_seed(each.dataloader, runner.seed)
            if state.get('order_seed') is not None:
                _order(loop.dataloader).seed = state['order_seed']
        info = runner.message_hub.runtime_info
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                # Without it the best score is not saved in the checkpoint.
                hook.last_ckpt = info.get('last_ckpt')
        for hook in _early_stopping(runner):
            if 'early' in state:
                hook.wait_count, hook.best_score = state['early']
                loop.stop_training = state['stop']
        if len(state['ranks']) == get_world_size():
            mine = state['ranks'][get_rank()]
            _restore_tensors(runner, mine)
            restore_states(mine)


def _check_shapes(runner: Any, weights: dict) -> None:
    """Raise if the checkpoint and its optimizer are of another model."""
    own = _model(runner).state_dict()
    others = [
        f'{name} {tuple(weights[name].shape)} instead of {tuple(mine.shape)}'
        for name, mine in own.items()
        if name in weights and weights[name].shape != mine.shape
    ]
    if others:
        raise ValueError(
            f'cannot resume from {runner._load_from or "the file"}: it is of '
            f'another model: {list_some(others)}. To start a new training '
            'from the weights that fit, set load_from to it and leave out '
            'resume'
        )


def _check_optimizer(runner: Any, saved: Any) -> None:
    """Raise if the checkpoint has the state of another optimizer."""
    now = _optimizer(runner)
    if None not in (saved, now) and saved != now:
        raise ValueError(
            f'cannot resume from {runner._load_from or "the file"}: its '
            f'optimizer is {saved}, the config has {now}. Set it as it was, '
            'or start a new training from the weights: set load_from to the '
            'file and leave out resume'
        )


def _optimizer(runner: Any) -> str | None:
    """Return the class of the only optimizer; None for several."""
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    optimizer = getattr(optimizer, 'optim', optimizer)  # divided by ZeRO
    return type(optimizer).__name__ if optimizer is not None else None


_SCHEDULE_REMEDY = (
    'Set param_scheduler as it was, or start a new training from the weights: '
    'set load_from to the file and leave out resume'
)
#: Attributes of a schedule that change while it runs.
_RUNNING = {'last_step', 'base_values', 'verbose', 'best', 'num_bad_epochs',
            'cooldown_counter'}  # fmt: skip


def _count(schedules: Any) -> int:
    """Return the number of schedules, of one optimizer or of several."""
    if isinstance(schedules, dict):
        return sum(map(_count, schedules.values()))
    return len(schedules or ())


def _check_schedule(schedule: Any, saved: dict) -> None:
    """Raise if a saved state has another type; warn if its values differ."""
    own = {
        key: value
        for key, value in schedule.state_dict().items()
        if key not in _RUNNING and key[0] != '_'
    }
    kind = type(schedule).__name__
    differing = sorted(
        key for key in own if key in saved and saved[key] != own[key]
    )
    others = [k for k in saved if k not in _RUNNING and k[0] != '_']
    if set(others) != set(own) or 'param_name' in differing:
        lacking, more = set(own) - set(others), set(others) - set(own)
        words = (
            f'it has {list_some(sorted(more)) or "no more"} and not '
            f'{list_some(sorted(lacking))}'
            if lacking or more
            else f'it changes {saved["param_name"]}'
        )
        raise ValueError(
            f'cannot resume: the checkpoint has a schedule of another type '
            f'than {kind} of the config: {words}. {_SCHEDULE_REMEDY}'
        )
    if differing:
        of_file = ', '.join(f'{key}={saved[key]}' for key in differing)
        of_config = ', '.join(f'{key}={own[key]}' for key in differing)
        warn(
            f'{kind} continues with {of_file}, as in the checkpoint; '
            f'{of_config} of the config has no effect. For another '
            'schedule start a new training from the weights: set load_from '
            'and leave out resume'
        )


def _check_batches(runner: Any, place: dict) -> None:
    """Raise if the checkpoint had other batch sizes, unless allowed."""
    now = runner.train_loop.read_batches()
    if now['num_samples'] != place['num_samples']:
        runner.logger.warning(
            f'the checkpoint was written with {place["num_samples"]} training '
            f'samples, now there are {now["num_samples"]}: the resumed '
            'training differs from one that was not interrupted'
        )
    sizes = 'batch_size', 'world_size'
    if all(now[key] == place[key] for key in sizes):
        return
    words = (
        '{batch_size} samples in a batch on {world_size} process(es)'.format
    )
    if not runner.cfg.get(SWITCH, False):
        raise ValueError(
            f'cannot resume with {words(**now)}: the checkpoint was written '
            f'with {words(**place)}, and steps and learning rates count '
            f'batches. Set them as they were, or {SWITCH}=True in the config '
            f'(--cfg-options {SWITCH}=True) to resume anyway'
        )
    runner.logger.warning(
        f'resumed with {words(**now)}, after {words(**place)}: schedules '
        'that count steps keep their count'
    )


def _set_seed(loader: Any, seed: int) -> None:
    if isinstance(loader, SeededLoader):
        loader.draws.seed = seed


def _order(loader: Any) -> Any:
    """Return the sampler of single indices of a loader."""
    batch_sampler = getattr(loader, 'batch_sampler', None)
    return getattr(batch_sampler, 'sampler', loader.sampler)


def _model(runner: Any) -> torch.nn.Module:
    model = runner.model
    return model.module if is_model_wrapper(model) else model


def _early_stopping(runner: Any) -> list[EarlyStoppingHook]:
    return [h for h in runner.hooks if isinstance(h, EarlyStoppingHook)]


def _has_updated(wrapper: Any) -> bool:
    """Tell whether no accumulated gradients wait for further steps."""
    if isinstance(wrapper, OptimWrapperDict):
        return all(map(_has_updated, wrapper.values()))
    return not isinstance(wrapper, OptimWrapper) or wrapper.should_update()


def _buffers(runner: Any) -> dict[str, torch.Tensor]:
    """Return the buffers of the model and of its averages, by name."""
    modules = [_model(runner)]
    modules += [h.ema_model for h in runner.hooks if isinstance(h, EMAHook)]
    return {
        f'{number}.{name}': buffer
        for number, module in enumerate(modules)
        for name, buffer in module.named_buffers()
    }


def _other_buffers(runner: Any) -> dict[str, torch.Tensor]:
    """Return the buffers that differ from those of the first process."""
    buffers = {k: v.detach().cpu() for k, v in _buffers(runner).items()}
    digests = {
        name: hashlib.sha256(
            buffer.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, buffer in buffers.items()
    }
    first = [digests]
    broadcast_object_list(first)
    return {
        name: buffer
        for name, buffer in buffers.items()
        if digests[name] != first[0].get(name)
    }


def _restore_tensors(runner: Any, state: dict) -> None:
    """Restore the buffers and gradients of this process."""
    current = _buffers(runner)
    for name, buffer in state.get('buffers', {}).items():
        if name in current:
            current[name].data.copy_(buffer)
    parameters = dict(_model(runner).named_parameters())
    for name, gradient in state.get('gradients', {}).items():
        if name in parameters:
            parameters[name].grad = gradient.to(parameters[name])


#: Hooks that mmengine registers by itself; None leaves one out.
STOCK_HOOKS = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
)


def missing() -> str:
    """Say what is missing."""
    return (
        'checkpoints hold no random generators; files that cannot be resumed '
        'are not refused'
    )


def repair() -> None:
    """Add the hook to every runner; let it collect before a save."""
    from mmengine.runner import Runner

    # Before CheckpointHook, which writes its count.
    EarlyStoppingHook.priority = 'LOW'
    register, save = Runner.register_default_hooks, Runner.save_checkpoint

    @functools.wraps(register)
    def register_default_hooks(self: Runner, hooks: Any = None) -> None:
        # mmengine takes None for its own hooks only.
        hooks = {
            name: hook
            for name, hook in (hooks or {}).items()
            if hook is not None or name in STOCK_HOOKS
        }
        register(self, hooks)
        self.register_hook(ExactResumeHook())

    @functools.wraps(save)
    def save_checkpoint(self: Runner, *args: Any, **options: Any) -> None:
        for hook in self.hooks:
            if isinstance(hook, ExactResumeHook):
                hook.collect(self)
        save(self, *args, **options)

    load = _ParamScheduler.load_state_dict

    @functools.wraps(load)
    def load_state_dict(self: _ParamScheduler, state_dict: dict) -> None:
        _check_schedule(self, state_dict)
        load(self, state_dict)

    _ParamScheduler.load_state_dict = load_state_dict
    Runner.register_default_hooks = register_default_hooks
    Runner.save_checkpoint = save_checkpoint

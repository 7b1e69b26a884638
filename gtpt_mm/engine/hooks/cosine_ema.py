"""Exponential moving average whose momentum follows a cosine to zero."""

import math
from collections.abc import Mapping

import torch
from mmengine.dist import all_reduce_params
from mmengine.hooks import EMAHook, RuntimeInfoHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from mmpose.registry import HOOKS, MODELS
from torch import Tensor, nn


@MODELS.register_module()
class CosineEMA(ExponentialMovingAverage):
    """Average weights with a momentum that falls along a half cosine.

    After training step t = 0, 1, ... the average moves towards the model by

        momentum_t = momentum / 2 (1 + cos(pi min(t, T) / T))

    from the first step on; mmengine's own averages copy the model after the
    first step instead. Buffers are averaged like parameters; integer buffers
    are copied.

    A window is 1 / momentum updates, about the memory of the average at its
    start. In a run of few windows the random start and the first steps keep
    most of the weight, since the momentum falls to zero. A run of fewer than
    ``min_windows`` windows therefore uses a constant momentum m, with which
    the run has ``min_windows`` windows, and leaves out the random start:

        m = min(1, min_windows / updates)
        momentum_n = m / (1 - (1 - m)^(n + 1))     for update n = 0, 1, ...

    which is the correction of Adam's moments. The average of update n is then
    sum_i (1 - m)^(n - i) w_i / sum_i (1 - m)^(n - i) over the weights w_i
    after the updates i = 0 ... n.

    Source: the official code of GTPT (the paper does not mention it), where
    the weight of the previous average, 1 - momentum_t, rises from 0.996 to 1.
    The short window is this project's.

    Args:
        model: Model to average.
        total_iters: T, the steps until the average stays constant.
        momentum: Weight of the model at the first step, in (0, 1).
        interval: Steps between two updates.
        device: Device of the average; None takes the model's.
        update_buffers: Whether buffers are averaged; otherwise copied.
        min_windows: Windows below which the momentum is constant, >= 0; 0
            keeps the cosine in runs of any length.

    Attributes:
        num_windows: Windows of the run.
        constant_momentum: m in a short run, else None.

    Raises:
        ValueError: If ``total_iters`` is not positive, or ``min_windows``
            negative.
    """

    def __init__(
        self,
        model: nn.Module,
        total_iters: int,
        momentum: float = 0.004,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = True,
        min_windows: float = 0,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if total_iters <= 0:
            raise ValueError(
                f'total_iters must be positive, got {total_iters}'
            )
        if min_windows < 0:
            raise ValueError(
                f'min_windows must not be negative, got {min_windows}'
            )
        self.min_windows = min_windows
        self.set_length(total_iters)

    def set_length(
        self, total_iters: int, run_iters: int | None = None
    ) -> None:
        """Set T, and the constant momentum if the run is short.

        Args:
            total_iters: T, the steps until the average stays constant.
            run_iters: Steps of the run; None: ``total_iters``.
        """
        self.total_iters = total_iters
        num_updates = (run_iters or total_iters) / self.interval
        self.num_windows = num_updates * self.momentum
        self.constant_momentum: float | None = None
        if self.num_windows < self.min_windows:
            self.constant_momentum = min(1.0, self.min_windows / num_updates)

    def momentum_at(self, step: int) -> float:
        """Return the weight of the model at a step counted from 0."""
        if (m := self.constant_momentum) is not None:
            return m / (1 - (1 - m) ** (step // self.interval + 1))
        progress = min(step / self.total_iters, 1.0)
        return self.momentum * 0.5 * (1 + math.cos(math.pi * progress))

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards ``model``; call it after each step."""
        step = int(self.steps)
        self.steps += 1
        source = (
            model.state_dict()
            if self.update_buffers
            else dict(model.named_parameters())
        )
        if step % self.interval == 0:
            self._lerp(source, self.momentum_at(step))
        if not self.update_buffers:
            for averaged, current in zip(
                self.module.buffers(), model.buffers(), strict=True
            ):
                averaged.copy_(current)

    def _lerp(self, source: Mapping[str, Tensor], momentum: float) -> None:
        """Move all tensors at once: a few kernels instead of hundreds."""
        averages, currents = [], []
        for name, averaged in self.avg_parameters.items():
            current = source[name].detach()
            if averaged.is_floating_point():
                averages.append(averaged.data)
                currents.append(current.to(averaged.device))
            else:
                averaged.data.copy_(current)
        torch._foreach_lerp_(averages, currents, momentum)

    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Move one tensor; the base class's interface."""
        averaged_param.lerp_(source_param, self.momentum_at(int(steps)))


@HOOKS.register_module()
class CosineEMAHook(EMAHook):
    """Train with a :class:`CosineEMA`; validate, test and save with it.

    Unlike stock ``EMAHook``, which copies the model before it is initialised
    and again after the first step, the average starts from the initialised
    or loaded weights.

    A run of fewer than ``min_windows`` windows of 1 / momentum steps uses a
    short constant window, any other run the official cosine. The log names the
    choice.

    Checkpoints store length and momentum (key ``cosine_ema``); resuming with
    different ones gives a warning.

    Args:
        total_epochs: Epochs until the average stays constant; None takes
            the length of the training. The official code fixes 300, the
            length of its training.
        momentum: Weight of the model at the first step, in (0, 1).
        interval: Steps between two updates.
        update_buffers: Whether buffers (BatchNorm statistics) are averaged.
        strict_load: Whether loading a checkpoint into the average must match
            every key.
        min_windows: Windows below which a run is short, >= 0; 0 keeps the
            cosine in runs of any length.
        validate_trained: Whether each validation during the training also
            evaluates the trained weights, before the average. Their metrics
            are logged with the prefix ``trained/``; ``save_best`` does not
            see them.

    Raises:
        ValueError: If ``total_epochs`` is not positive, or ``min_windows``
            negative.
    """

    def __init__(
        self,
        total_epochs: int | None = None,
        momentum: float = 0.004,
        interval: int = 1,
        update_buffers: bool = True,
        strict_load: bool = False,
        min_windows: float = 24,
        validate_trained: bool = False,
    ) -> None:
        if total_epochs is not None and total_epochs <= 0:
            raise ValueError(
                f'total_epochs must be positive, got {total_epochs}'
            )
        super().__init__(
            ema_type='CosineEMA',
            strict_load=strict_load,
            total_iters=1,  # known when training starts
            momentum=momentum,
            interval=interval,
            update_buffers=update_buffers,
            min_windows=min_windows,
        )
        self.total_epochs = total_epochs
        self.validate_trained = validate_trained
        self._is_training = False
        self._logged: str | None = None
        # Settings of the momentum in a resumed checkpoint.
        self._resumed: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Set the length of the schedule; start from the loaded weights."""
        super().before_train(runner)
        self._is_training = True
        average, run_iters = self.ema_model, runner.max_iters
        total_iters = run_iters
        if self.total_epochs is not None:
            total_iters = self.total_epochs * len(runner.train_dataloader)
        average.set_length(total_iters, run_iters)
        if total_iters != run_iters:
            runner.logger.warning(self._describe_difference(runner))
        if self._resumed is not None:
            self._compare(runner)
        if int(average.steps) == 0:
            average.module.load_state_dict(self.src_model.state_dict())

    def before_train_epoch(self, runner: Runner) -> None:
        """Log a short run; each stage of a curriculum has its own length."""
        average = self.ema_model
        if average.constant_momentum is None:
            return
        words = (
            f'CosineEMAHook: a run of {average.num_windows:.3g} windows of '
            f'1 / momentum ({average.momentum}) is shorter than min_windows='
            f'{average.min_windows}; the average takes a window of '
            f'{1 / average.constant_momentum:.3g} updates (constant momentum '
            f'{average.constant_momentum:.3g}) without the random start. '
            'min_windows=0 keeps the official cosine.'
        )
        if words != self._logged:
            self._logged = words
            runner.logger.info(words)

    def before_val_epoch(self, runner: Runner) -> None:
        """Validate the trained weights if asked for; take the average."""
        if self.validate_trained and self._is_training:
            _log_metrics(runner, 'trained/')
        super().before_val_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the averaged BatchNorm statistics over the processes.

        Parameters are equal everywhere; statistics differ by process, and
        validation and checkpoints come next. A single process does nothing
        here.
        """
        all_reduce_params(self.ema_model.module.buffers(), op='mean')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the average and the settings of its momentum."""
        super().before_save_checkpoint(runner, checkpoint)
        if self._is_training:
            checkpoint['cosine_ema'] = self._schedule(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load the average; keep the schedule of a resumed training."""
        super().after_load_checkpoint(runner, checkpoint)
        if runner._resume:  # mmengine has no public way; EMAHook does so
            self._resumed = checkpoint.get('cosine_ema', {})

    def _schedule(self, runner: Runner) -> dict:
        average = self.ema_model
        return dict(
            run_iters=runner.max_iters,
            total_epochs=self.total_epochs,
            momentum=average.momentum,
            interval=average.interval,
            min_windows=average.min_windows,
        )

    def _compare(self, runner: Runner) -> None:
        """Warn if the resumed average continues with another momentum."""
        before, now = self._resumed, self._schedule(runner)
        if not before:  # written before short runs had their own window
            before = now | dict(min_windows=0)
            if self.ema_model.constant_momentum is None:
                return
        changed = [
            f'{key} was {before.get(key)}, is {value}'
            for key, value in now.items()
            if before.get(key) != value
        ]
        if changed:
            runner.logger.warning(
                'CosineEMAHook: the average of the resumed checkpoint goes '
                f'on with another schedule: {"; ".join(changed)}.'
            )

    def _describe_difference(self, runner: Runner) -> str:
        """Explain ``total_epochs`` for a training of another length."""
        average, run_iters = self.ema_model, runner.max_iters
        last = average.total_iters // len(runner.train_dataloader)
        if average.constant_momentum is not None:
            effect = 'has no effect in a run this short'
        elif average.total_iters < run_iters:
            effect = (
                f'ends before the training ({run_iters} steps): from epoch '
                f'{last + 1} on (step {average.total_iters}) '
                'the average stands still, and so does all that is '
                'validated, saved and used for inference'
            )
        else:
            effect = (
                f'exceeds the training ({run_iters} steps): the momentum '
                f'ends at {average.momentum_at(run_iters):.2g} instead of 0'
            )
        return (
            f'CosineEMAHook: total_epochs={self.total_epochs} {effect}. '
            'Without total_epochs the average lasts as long as the training.'
        )


def _log_metrics(runner: Runner, prefix: str) -> None:
    """Validate the model as it is; log the metrics with a prefix.

    The random numbers of the training stay as they are.
    """
    loop = runner.val_loop
    runner.model.eval()
    with (
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        autocast(enabled=loop.fp16),
    ):
        for batch in loop.dataloader:
            outputs = runner.model.val_step(batch)
            loop.evaluator.process(data_samples=outputs, data_batch=batch)
    metrics = loop.evaluator.evaluate(len(loop.dataloader.dataset))
    RuntimeInfoHook().after_val_epoch(
        runner, {f'{prefix}{key}': value for key, value in metrics.items()}
    )

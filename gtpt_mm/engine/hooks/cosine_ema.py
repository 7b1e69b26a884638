"""Exponential moving average whose momentum follows a cosine to zero."""

import math
from collections.abc import Mapping

import torch
from mmengine.dist import all_reduce_params
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import Runner
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

    Source: the official code of GTPT (the paper does not mention it), where
    the weight of the previous average, 1 - momentum_t, rises from 0.996 to 1.

    Args:
        model: Model to average.
        total_iters: T, the steps until the average stays constant.
        momentum: Weight of the model at the first step, in (0, 1).
        interval: Steps between two updates.
        device: Device of the average; None takes the model's.
        update_buffers: Whether buffers are averaged; otherwise copied.

    Raises:
        ValueError: If ``total_iters`` is not positive.
    """

    def __init__(
        self,
        model: nn.Module,
        total_iters: int,
        momentum: float = 0.004,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = True,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if total_iters <= 0:
            raise ValueError(
                f'total_iters must be positive, got {total_iters}'
            )
        self.total_iters = total_iters

    def momentum_at(self, step: int) -> float:
        """Return the weight of the model at a step counted from 0."""
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

    Args:
        total_epochs: Epochs until the average stays constant; None takes
            the length of the training. The official code fixes 300, the
            length of its training.
        momentum: Weight of the model at the first step, in (0, 1).
        interval: Steps between two updates.
        update_buffers: Whether buffers (BatchNorm statistics) are averaged.
        strict_load: Whether loading a checkpoint into the average must match
            every key.

    Raises:
        ValueError: If ``total_epochs`` is not positive.
    """

    def __init__(
        self,
        total_epochs: int | None = None,
        momentum: float = 0.004,
        interval: int = 1,
        update_buffers: bool = True,
        strict_load: bool = False,
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
        )
        self.total_epochs = total_epochs

    def before_train(self, runner: Runner) -> None:
        """Set the length of the schedule; start from the loaded weights."""
        super().before_train(runner)
        if self.total_epochs is None:
            self.ema_model.total_iters = runner.max_iters
        else:
            iters = len(runner.train_dataloader)
            self.ema_model.total_iters = self.total_epochs * iters
        if int(self.ema_model.steps) == 0:
            self.ema_model.module.load_state_dict(self.src_model.state_dict())

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the averaged BatchNorm statistics over the processes.

        Parameters are equal everywhere; statistics differ by process, and
        validation and checkpoints come next. A single process does nothing
        here.
        """
        all_reduce_params(self.ema_model.module.buffers(), op='mean')

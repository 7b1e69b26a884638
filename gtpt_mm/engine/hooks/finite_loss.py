"""Stop at a loss that is not finite; report batches without keypoints."""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from types import MethodType
from typing import Any, NoReturn

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import Tensor

from .sample_names import describe_samples, has_keypoint
from .unwrap import unwrap_model

#: Number of batches without a visible keypoint that get a warning each.
MAX_WARNINGS = 3
REMEDY = (
    'If a sample is not finite itself, mend its annotation; if none is, lower '
    'the learning rate or set optim_wrapper.clip_grad. '
    "FiniteLossHook(policy='skip') leaves a few such steps out."
)


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Take no step, and save nothing, after a loss of NaN or infinity.

    The error names epoch, step, losses and the samples of the batch; samples
    with targets that are not finite come first. All processes decide together.
    A checkpoint with weights that are not finite is also refused, since the
    last step before it may have spoilt them.

    The loss is read after its backward pass and before the step: by then a GPU
    has computed it, so reading it costs no wait.

    Nothing is learned from batches without a visible keypoint. The first of
    them are reported, and their number after each epoch.

    Args:
        policy: ``'stop'`` ends the training with an error; ``'skip'`` leaves
            out the step with a warning, ``max_skips`` times, and then stops.
            Gradients that were accumulated for the same step are dropped. If
            the weights are no longer finite, both stop.
        max_skips: Steps that ``'skip'`` leaves out, > 0.

    Raises:
        ValueError: If an option is out of range.
    """

    # After the EMA hook, which adds the average to a checkpoint.
    priority = 'BELOW_NORMAL'

    def __init__(self, policy: str = 'stop', max_skips: int = 10) -> None:
        if policy not in ('stop', 'skip'):
            raise ValueError(
                f"policy must be 'stop' or 'skip', got {policy!r}"
            )
        if max_skips <= 0:
            raise ValueError(f'max_skips must be positive, got {max_skips}')
        self.policy = policy
        self.max_skips = max_skips
        self._num_skips = 0
        self._is_left_out = False
        self._losses: dict[str, Tensor] = {}
        self._batch: Any = None
        # Samples since the last step, and of it: epoch, iteration, samples.
        self._since: list[tuple[int, int, dict]] = []
        self._last_step: list[tuple[int, int, dict]] = []
        self._watched: list[tuple[object, str, Callable | None]] = []
        # Infinite on purpose: masks of -inf.
        self._exempt: set[str] = set()
        self._num_batches = self._num_invisible = self._num_warnings = 0

    def before_train(self, runner: Runner) -> None:
        """Watch the losses of the model, and the steps of its optimizer.

        Raises:
            ValueError: If ``policy='skip'`` is used with several optimizers.
        """
        self.after_train(runner)  # of a training that was cut off
        model, wrappers = unwrap_model(runner.model), [runner.optim_wrapper]
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            wrappers = list(runner.optim_wrapper.values())
        if len(wrappers) > 1 and self.policy == 'skip':
            raise ValueError(
                f"policy='skip' requires one optimizer, got {len(wrappers)}; "
                "set policy='stop'"
            )
        self._exempt = set(_not_finite(model.state_dict()))
        self._watch(model, 'parse_losses', self._parse_losses)
        for wrapper in wrappers:
            self._watch(wrapper, 'backward', partial(self._backward, runner))
            self._watch(wrapper, 'step', self._step)

    def after_train(self, runner: Runner) -> None:
        """Leave model and optimizer as they were."""
        for watched, name, hidden in self._watched:
            if hidden is None:
                delattr(watched, name)
            else:
                setattr(watched, name, hidden)
        self._watched.clear()

    def _watch(self, watched: object, name: str, function: Callable) -> None:
        """Replace a method by ``function``, which gets the method.

        mmengine has no hook between loss and step. An attribute of this one
        object hides the method. It is a bound method with the attributes of
        the hidden one: schedulers built during the training, as by a
        curriculum, look for both.
        """
        method = getattr(watched, name)

        @wraps(method)
        def hiding(owner: object, *args: Any, **kwargs: Any) -> Any:
            return function(method, *args, **kwargs)

        self._watched.append((watched, name, vars(watched).get(name)))
        setattr(watched, name, MethodType(hiding, watched))

    def _parse_losses(
        self, method: Callable, losses: Mapping
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Keep the losses by name."""
        loss, self._losses = method(losses)
        return loss, self._losses

    def _backward(
        self, runner: Runner, method: Callable, loss: Tensor, **kwargs: Any
    ) -> None:
        """Stop, or clear the gradients, if the loss is not finite."""
        check = _Check(loss)
        method(loss, **kwargs)
        self._is_left_out = check.failed()
        if not self._is_left_out:
            return
        words = self._describe(runner, loss)
        own = _not_finite(
            dict(unwrap_model(runner.model).named_parameters()), self._exempt
        )
        if own:  # a finite loss had a gradient that was not finite
            words = (
                f'{words} The weights {own[:5]} were not finite any more: '
                'the gradient of the step before was not, so its samples '
                f'are to blame. {self._describe_last_step()}'
            )
        if self.policy == 'stop' or own:
            self._stop(runner, f'{words} {REMEDY}')
        self._num_skips += 1
        if self._num_skips > self.max_skips:
            self._stop(
                runner, f'{words} {self.max_skips} steps were left out before.'
            )
        buffers = dict(unwrap_model(runner.model).named_buffers())
        spoilt = all_gather_object(_not_finite(buffers, self._exempt))
        names: list[str] = sum(spoilt, [])
        if names:
            self._stop(
                runner,
                f'{words} The step cannot be left out: the forward pass '
                f'changed the statistics {names[:5]}.',
            )
        runner.logger.warning(
            f'{words} The step is left out ({self._num_skips} of at most '
            f'{self.max_skips}).'
        )
        runner.optim_wrapper.zero_grad()
        self._since.clear()
        # These are logged for the step.
        self._losses.clear()

    def _step(self, method: Callable, **kwargs: Any) -> None:
        """Take the step unless its last loss was not finite."""
        if self._is_left_out:
            return
        method(**kwargs)
        if self._since:  # else it is a step of another optimizer
            self._last_step, self._since = self._since, []

    def _describe(self, runner: Runner, loss: Tensor) -> str:
        """Name epoch, step, losses and samples; the same in all processes."""
        losses = {
            name: float(torch.as_tensor(value).detach())
            for name, value in self._losses.items()
            if 'loss' in name and not torch.as_tensor(value).isfinite().all()
        }
        if len(losses) > 1:
            losses.pop('loss', None)  # their sum
        names = ', '.join(f'{k} = {v}' for k, v in losses.items())
        if not loss.isfinite():
            own = f'{names or "loss"}. {describe_samples(self._batch)}'
        else:
            own = ''
        words = ' '.join(
            f'process {rank}: {words}' if get_world_size() > 1 else words
            for rank, words in enumerate(all_gather_object(own))
            if words
        )
        return (
            f'the loss is not finite in epoch {runner.epoch + 1}, step '
            f'{runner.iter + 1}: {words}'
        )

    def _describe_last_step(self) -> str:
        """Name the samples of the step before; the same in all processes."""
        own = self._describe_own_step()
        if get_world_size() == 1:
            return own
        return ' '.join(
            f'process {rank}: {words}'
            for rank, words in enumerate(all_gather_object(own))
        )

    def _describe_own_step(self) -> str:
        """Name the samples of the last step in this process."""
        return ' '.join(
            f'Epoch {epoch}, step {step}: {describe_samples(samples)}'
            for epoch, step, samples in self._last_step
        )

    def _stop(self, runner: Runner, words: str) -> NoReturn:
        self.after_train(runner)
        raise FloatingPointError(
            f'{words} The training stops before the step; nothing is saved.'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse weights that are not finite; save the steps left out.

        Raises:
            FloatingPointError: If a weight is not finite.
        """
        weights = dict(checkpoint['state_dict'])
        weights.update(
            {
                name: value
                for name, value in checkpoint.get('ema_state_dict', {}).items()
                if name.removeprefix('module.') not in self._exempt
            }
        )
        if spoilt := _not_finite(weights, self._exempt):
            raise FloatingPointError(
                f'{len(spoilt)} of {len(weights)} tensors are not finite '
                f'after epoch {runner.epoch + 1}, step {runner.iter + 1}, '
                f'first {spoilt[:5]}; no checkpoint is written, older ones '
                f'stay. {self._describe_own_step()} {REMEDY}'
            )
        if self._num_skips:
            checkpoint['finite_loss'] = dict(num_skips=self._num_skips)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Continue the count in a resumed training."""
        if runner._resume:  # mmengine has no public way; EMAHook does so
            saved = checkpoint.get('finite_loss', {})
            self._num_skips = saved.get('num_skips', 0)

    def before_train_epoch(self, runner: Runner) -> None:
        """Count the batches of an epoch."""
        self._num_batches = self._num_invisible = 0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Keep the batch; warn if it has no visible keypoint."""
        self._batch, self._losses = data_batch, {}
        if isinstance(data_batch, dict):  # without the images
            samples = dict(data_samples=data_batch.get('data_samples'))
            self._since.append((runner.epoch + 1, runner.iter + 1, samples))
        self._num_batches += 1
        if has_keypoint(data_batch):
            return
        self._num_invisible += 1
        if self._num_warnings < MAX_WARNINGS:
            self._num_warnings += 1
            runner.logger.warning(
                f'no visible keypoint in the batch of epoch {runner.epoch + 1}'
                f', step {runner.iter + 1}: {describe_samples(data_batch)}'
            )

    def after_train_epoch(self, runner: Runner) -> None:
        """Report how many batches had no visible keypoint."""
        self._batch = None
        counts = torch.tensor([self._num_batches, self._num_invisible])
        if get_world_size() > 1:
            all_reduce(counts)
        num_batches, num_invisible = counts.tolist()
        if num_batches and num_batches == num_invisible:
            runner.logger.warning(
                f'no visible keypoint in epoch {runner.epoch + 1}: nothing '
                'can be learned. Visible are keypoints whose third value is '
                'above 0 and that lie in the crop; check these and the boxes.'
            )
        elif num_invisible:
            runner.logger.warning(
                f'{num_invisible} of {num_batches} batches of epoch '
                f'{runner.epoch + 1} had no visible keypoint.'
            )


class _Check:
    """Check asynchronously whether the loss of any process is not finite."""

    def __init__(self, loss: Tensor) -> None:
        failed = (~loss.detach().isfinite()).float()
        if get_world_size() > 1:
            all_reduce(failed)
        self._event: torch.cuda.Event | None = None
        if failed.is_cuda:
            failed = failed.to('cpu', non_blocking=True)  # pinned
            self._event = torch.cuda.Event()
            self._event.record()
        self._failed = failed

    def failed(self) -> bool:
        """Wait only for the answer, not for the backward pass."""
        if self._event is not None:
            self._event.synchronize()
        return bool(self._failed)


def _not_finite(
    tensors: Mapping[str, Any], exempt: set[str] | frozenset = frozenset()
) -> list[str]:
    """Return the names of tensors that hold NaN or infinity."""
    return [
        name
        for name, value in tensors.items()
        if name not in exempt
        and isinstance(value, Tensor)
        and value.is_floating_point()
        and not value.isfinite().all()
    ]

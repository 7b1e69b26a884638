"""Stop a train loop anywhere and resume it there, bit for bit.

Broken: mmengine <= 0.10.7 resumes whole epochs only. A checkpoint from the
middle of an epoch is resumed at the start of that epoch; an interrupted
validation is left out; IterBasedTrainLoop decodes all images that were read
before; SIGTERM, by which clusters end a job, loses the work since the last
checkpoint.

Here: subclasses under the stock names.

- Every step, epoch and validation seeds the generators of the process from the
  runner's seed and its own number, so none depends on earlier draws. Samples
  have seeds of their own, see ``data_loading``.
- A checkpoint says how many batches of its epoch are done, and whether the
  validation after it is; a resumed training skips both. Batches are skipped by
  their indices; nothing is read.
- At SIGTERM or SIGUSR1 the step ends, ``stopped.pth`` is written, named in
  ``last_checkpoint``, and the process ends with 128 + the signal's number.

Can go: when mmengine's loops stop and resume within an epoch.
"""

import itertools
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import LOOPS
from mmengine.runner import loops

from ..files.atomic_file import atomic_write
from .data_loading import SeededLoader
from .generators import seed_generators, seed_of
from .stop_signals import Stopped, StopSignals

STOPPED = 'stopped.pth'


class ExactLoop:
    """Mixin of both loops: save, restore and seed by the position in an epoch.

    Attributes:
        resumed: Place where a resumed training begins, see ``read_place``.
    """

    runner: Any
    dataloader: Any
    resumed: dict = {}
    _epoch: int
    _iter: int
    _epoch_begin = 0
    _validated_iter = -1

    def read_place(self, meta: dict) -> dict:
        """Return the place of a checkpoint with this ``meta``.

        Its ``inner`` counts the batches done of the epoch of ``meta``;
        ``validated`` says whether the validation after it is done.
        """
        inner = 0
        if meta['epoch'] == self._epoch:
            inner = meta['iter'] - self._epoch_begin
        return dict(
            inner=inner,
            validated=meta['iter'] == self._validated_iter,
            **self.read_batches(),
        )

    def read_batches(self) -> dict:
        """Return the sizes on which the place in an epoch depends."""
        batch_sampler = getattr(self.dataloader, 'batch_sampler', None)
        return dict(
            batch_size=getattr(batch_sampler, 'batch_size', 1),
            world_size=get_world_size(),
            num_samples=len(self.dataloader.dataset),
        )

    def resume_at(self, place: dict) -> None:
        """Begin at a place that ``read_place`` returned."""
        now = self.read_batches()
        samples = place['inner'] * place['batch_size'] * place['world_size']
        inner = samples // (now['batch_size'] * now['world_size'])
        self.resumed = place | dict(inner=inner)
        self._epoch_begin = self._iter - inner
        if place['validated']:
            self._validated_iter = self._iter

    def guess_place(self) -> dict:
        """Return the place where a checkpoint of stock mmengine was saved."""
        inner = self._iter
        if isinstance(self, EpochBasedTrainLoop):
            inner -= self._epoch * len(self.dataloader)
            inner = inner if 0 <= inner <= len(self.dataloader) else 0
        return dict(inner=inner, validated=True, **self.read_batches())

    def run(self) -> torch.nn.Module:
        """Train; end the process at a signal."""
        with StopSignals() as self.signals:
            self._watcher = ValidationWatcher(self.signals)
            self.runner.register_hook(self._watcher, priority='LOWEST')
            try:
                return self._run()
            finally:
                self.runner.hooks.remove(self._watcher)

    def _run(self) -> torch.nn.Module:
        raise NotImplementedError

    def _seed(self, what: str, number: int) -> None:
        seed_generators(seed_of(self.runner.seed, what, number))

    def _validate_if_due(self) -> None:
        """Validate now if the config says so and it is not done yet."""
        self._decide_current_val_interval()  # type: ignore[attr-defined]
        loop = self.runner.val_loop
        if loop is None or not self._is_due():
            return
        self._validated_iter, before = self._iter, self._validated_iter
        self._seed('validation', self._iter)
        if isinstance(loop.dataloader, SeededLoader):
            loop.dataloader.draws.start(self._iter)
        try:
            self._watcher.start(len(loop.dataloader))
            loop.run()
        except Stopped:
            self._validated_iter = before
            # They swapped the weights with the average for the validation.
            for hook in self.runner.hooks:
                if isinstance(hook, EMAHook):
                    hook._swap_ema_parameters()
        finally:
            self._watcher.stop()
        if self.signals.number:
            self._stop()

    def _restore_count(self) -> None:
        """Let the message hub count the last step, not the next one."""
        if self.resumed:
            self.runner.message_hub.update_info('iter', self._iter - 1)

    def _is_due(self) -> bool:
        raise NotImplementedError

    def _after_step(self) -> None:
        """End the process if a signal came."""
        if self.signals.check():
            self._stop()

    def _stop(self) -> None:
        runner, number = self.runner, self.signals.number
        name = signal.Signals(number).name
        path = Path(runner.work_dir, STOPPED)
        meta = dict(epoch=self._epoch, iter=self._iter)
        runner.save_checkpoint(
            runner.work_dir, STOPPED, meta=meta, by_epoch=False
        )
        if is_main_process():
            with atomic_write(
                Path(runner.work_dir, 'last_checkpoint')
            ) as file:
                file.write_text(str(path))
        runner.logger.info(
            f'{name}: stopped in epoch {self._epoch + 1} after '
            f'{self._iter} steps; saved {path}. Continue with --resume; the '
            'result equals that of an uninterrupted training.'
        )
        self.signals.barrier()
        sys.exit(128 + number)


class EpochBasedTrainLoop(ExactLoop, loops.EpochBasedTrainLoop):
    """mmengine's loop over epochs; stops and resumes anywhere."""

    def _run(self) -> torch.nn.Module:
        self.runner.call_hook('before_train')
        self._restore_count()
        if self.resumed and not self.resumed['inner'] and self._epoch:
            self.runner.message_hub.update_info('epoch', self._epoch - 1)
            self._validate_if_due()
        if isinstance(self.dataloader, SeededLoader):
            self.dataloader.draws.advance(self._epoch)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Iterate one epoch, or the rest of the resumed one."""
        self._seed('epoch', self._epoch)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        inner = self.resumed.get('inner', 0)
        self.resumed = {}
        for idx, data_batch in enumerate(self._read_from(inner), inner):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self._epoch_begin = self._iter

    def _read_from(self, inner: int) -> Iterator[Sequence[dict]]:
        if not isinstance(self.dataloader, SeededLoader):
            return itertools.islice(self.dataloader, inner, None)
        # With another batch size, its last batch may be in the middle.
        inner = min(inner, len(self.dataloader))
        self.dataloader.draws.start(self._epoch, inner)
        return iter(self.dataloader)

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Do one step; stop after it at a signal."""
        self._seed('step', self._iter)
        super().run_iter(idx, data_batch)
        self._after_step()

    def _is_due(self) -> bool:
        return (
            self._iter != self._validated_iter
            and self._epoch >= self.val_begin
            and (
                self._epoch % self.val_interval == 0
                or self._epoch == self._max_epochs
            )
        )


class IterBasedTrainLoop(ExactLoop, loops.IterBasedTrainLoop):
    """mmengine's loop over iterations; stops and resumes anywhere."""

    def _run(self) -> torch.nn.Module:
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        if self._iter:
            self.dataloader_iterator.skip(self.resumed.get('inner', 0))
        self._restore_count()
        if self.resumed:
            self._validate_if_due()
            self.resumed = {}
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate_if_due()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, data_batch: Sequence[dict]) -> None:
        """Do one step; stop after it at a signal."""
        self._seed('step', self._iter)
        super().run_iter(data_batch)
        self._after_step()

    def _is_due(self) -> bool:
        return (
            self._iter != self._validated_iter
            and self._iter >= self.val_begin
            and (
                self._iter % self.val_interval == 0
                or self._iter == self._max_iters
            )
        )


class EndlessIterator(loops._InfiniteDataloaderIterator):
    """Iterate over passes of a loader as mmengine does, but start later.

    The stock iterator starts the workers when the loop is built, before a
    resumed training knows where to begin.
    """

    def __init__(self, dataloader: Any) -> None:
        self._dataloader = dataloader
        self._iterator: Any = None
        self._epoch = 0

    def skip(self, num_batches: int) -> None:
        """Skip batches before the first one."""
        if isinstance(self._dataloader, SeededLoader):
            self._dataloader.draws.start(None, num_batches)
        else:
            for _ in range(num_batches):
                next(self)

    def __next__(self) -> Sequence[dict]:
        if self._iterator is None:
            self._iterator = iter(self._dataloader)
        batch = super().__next__()
        if isinstance(self._dataloader, SeededLoader):
            self._epoch = max(self._epoch, self._dataloader.draws.passes)
        return batch


class ValidationWatcher(Hook):
    """End a validation between two batches when a signal came."""

    def __init__(self, signals: StopSignals) -> None:
        self.signals = signals
        self.num_batches = 0

    def start(self, num_batches: int) -> None:
        """Watch the first batches, as many as all processes have."""
        self.num_batches = self.signals.fewest(num_batches)

    def stop(self) -> None:
        """Stop watching."""
        self.num_batches = 0

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Leave the validation at a signal."""
        if batch_idx < self.num_batches and self.signals.check():
            raise Stopped


def missing() -> str:
    """Say what is missing."""
    return (
        'a training can be stopped and resumed only between epochs, without '
        'their validation'
    )


def repair() -> None:
    """Put the loops in the places of mmengine's."""
    from mmengine import runner
    from mmengine.runner import _flexible_runner
    from mmengine.runner import runner as runner_module

    loops._InfiniteDataloaderIterator = EndlessIterator
    LOOPS.register_module(module=EpochBasedTrainLoop, force=True)
    LOOPS.register_module(module=IterBasedTrainLoop, force=True)
    for module in (runner, loops, runner_module, _flexible_runner):
        module.EpochBasedTrainLoop = EpochBasedTrainLoop
        module.IterBasedTrainLoop = IterBasedTrainLoop

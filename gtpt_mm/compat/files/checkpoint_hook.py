"""Remove old checkpoints only after the new one is complete.

Broken: ``CheckpointHook`` of mmengine (<= 0.10.7) removes the outdated
checkpoint, and the best one so far, before it writes the next: with
``max_keep_ckpts=1`` a kill or a full disk leaves nothing. It writes
``last_checkpoint`` in place. It cannot tell whether a larger ``AP`` or
``PCK`` is better, and reports a misspelt ``save_best`` as a KeyError after the
first validation.

Here: a subclass under the stock name. It removes outdated files last; if a
kill comes before that, the resumed training removes them. It writes
``last_checkpoint`` whole, and has rules for pose metrics.

Can go: when mmengine removes files after saving and mmpose sets the rules.
"""

import re
from pathlib import Path
from typing import Any

import mmengine.hooks
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as StockCheckpointHook
from mmengine.hooks import checkpoint_hook as stock_module
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .atomic_file import atomic_write

#: Metrics of poses by their last name: a larger or a smaller one is better.
RULES = dict.fromkeys(('AP', 'AR', 'PCK', 'PCKH', 'TPCK', 'AUC'), 'greater')
RULES |= dict.fromkeys(('EPE', 'NME', 'JPE', 'MPJPE', 'MRRPE'), 'less')
#: Key of the files to remove in the message hub, and so in the checkpoint.
OUTDATED = 'outdated_ckpts'


def missing() -> str:
    """Say what is missing."""
    return (
        'the CheckpointHook of mmengine removes the old checkpoint before it '
        'writes the new one'
    )


def repair() -> None:
    """Put the subclass under the stock name."""
    HOOKS.register_module('CheckpointHook', module=CheckpointHook, force=True)
    mmengine.hooks.CheckpointHook = CheckpointHook
    stock_module.CheckpointHook = CheckpointHook


class CheckpointHook(StockCheckpointHook):
    """Save checkpoints; remove outdated ones when the new one is whole.

    Arguments are those of mmengine's hook.

    Raises:
        ValueError: At the first validation, if it gives no metric of the
            name in ``save_best``.
    """

    file_backend: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._outdated: list[str] = []
        super().__init__(*args, **kwargs)

    def before_train(self, runner: Runner) -> None:
        """Prepare as mmengine does; remove files that a kill has left."""
        super().before_train(runner)
        if OUTDATED in runner.message_hub.runtime_info:
            self._outdated = [
                self.file_backend.join_path(self.out_dir, Path(path).name)
                for path in runner.message_hub.get_info(OUTDATED)
            ]
            self._remove_outdated()

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        """Save; then name the file in ``last_checkpoint``; then remove."""
        hub = runner.message_hub
        if self.max_keep_ckpts > 0:
            self._keep(step)
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        hub.update_info('last_ckpt', self.last_ckpt)
        hub.update_info(OUTDATED, list(self._outdated))
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            last = Path(runner.work_dir, 'last_checkpoint')
            with atomic_write(last) as temporary:
                temporary.write_text(self.last_ckpt)
        self._remove_outdated()

    def _keep(self, step: int) -> None:
        """Note the checkpoint to save, and the one that it replaces."""
        kept = self.keep_ckpt_ids
        if kept and kept[-1] == step:
            return  # written a second time, with the best score
        if len(kept) == self.max_keep_ckpts:
            name = self.filename_tmpl.format(kept.popleft())
            self._outdated.append(
                self.file_backend.join_path(self.out_dir, name)
            )
        kept.append(step)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save a new best one before the previous one is removed."""
        if not self.save_best or not hasattr(self, 'file_backend'):
            return  # the latter: a validation without a training
        wrong = [k for k in self.key_indicators if k not in metrics]
        if wrong and wrong != ['auto']:
            raise ValueError(
                f'save_best={wrong} is not among the metrics of this '
                f'validation: {", ".join(metrics)}'
            )
        backend = self.file_backend
        self.file_backend = _Postponed(backend, self._outdated)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        self._remove_outdated()

    def _remove_outdated(self) -> None:
        """Remove outdated files, now that the new ones are whole."""
        if isinstance(self.file_backend, _Postponed):
            return  # more is to be saved
        bests = getattr(self, 'best_ckpt_path_dict', {}).values()
        used = {self.last_ckpt, getattr(self, 'best_ckpt_path', None), *bests}
        for path in self._outdated:
            if path in used or not is_main_process():
                continue
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):  # of deepspeed
                self.file_backend.rmtree(path)
        self._outdated.clear()

    def _init_rule(
        self, rules: list[str | None], key_indicators: list[str]
    ) -> None:
        """Infer the rules of pose metrics, then the others as mmengine."""
        if len(rules) == 1:
            rules = rules * len(key_indicators)
        rules = [
            rule or self._find_rule(key)
            for rule, key in zip(rules, key_indicators, strict=True)
        ]
        super()._init_rule(rules, key_indicators)

    def _find_rule(self, key: str) -> str | None:
        """Return the rule of a metric like ``coco/AP`` or ``AP .5``.

        The user's keys, ``greater_keys`` and ``less_keys``, take precedence.
        """
        given = (self.greater_keys, self.less_keys)
        stock = (self._default_greater_keys, self._default_less_keys)
        if given != stock:
            return None
        words = re.findall(r'[A-Z]+', key.rpartition('/')[2].upper())
        return next((RULES[word] for word in words if word in RULES), None)


class _Postponed:
    """A file backend that only notes the files to remove."""

    def __init__(self, backend: Any, outdated: list[str]) -> None:
        self._backend = backend
        self._outdated = outdated

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Note a file."""
        self._outdated.append(path)

    rmtree = remove

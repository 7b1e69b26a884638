"""Validate with the same buffers in all processes."""

from mmengine.dist import broadcast, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Validate with the buffers of the first process, which are saved.

    The running statistics of BatchNorm differ between processes, since each
    sees its own samples; a checkpoint has those of the first process. Without
    this hook every process validates its share of the samples with a different
    model: the metrics belong to no saved model, and a resumed run gives
    different ones.

    mmengine's ``SyncBuffersHook`` averages the statistics instead, which
    changes the saved statistics and those of a resumed run.

    Training and checkpoints stay the same; with one process nothing changes.
    """

    priority = 'LOW'  # after an average has replaced the model's weights

    def before_val_epoch(self, runner: Runner) -> None:
        """Overwrite the buffers of all processes with the first one's."""
        if is_distributed():
            for buffer in runner.model.buffers():
                broadcast(buffer, src=0)

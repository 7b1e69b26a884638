"""One model for all processes of a validation."""

from mmengine.dist import broadcast, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Validate with the buffers of the first process, which are saved.

    The running statistics of BatchNorm differ between processes, each has
    those of its own samples; a checkpoint has the first one's. Without this
    hook every process validates its share of the samples with another model,
    the metrics are of none that is saved, and a resumed run has others.

    mmengine's ``SyncBuffersHook`` averages the statistics instead, which
    changes the saved ones and what is left of them after a resume.

    Training and checkpoints stay the same; one process has nothing to do.
    """

    priority = 'LOW'  # after an average has taken the model's place

    def before_val_epoch(self, runner: Runner) -> None:
        """Overwrite the buffers of all processes with the first one's."""
        if is_distributed():
            for buffer in runner.model.buffers():
                broadcast(buffer, src=0)

"""Start a training from the weights of another skeleton."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from gtpt_mm.compat.files.loaded_tensors import find_file
from gtpt_mm.convert.fine_tuning import fit_checkpoint
from gtpt_mm.convert.skeletons import NEW

from .unwrap import unwrap_model


@HOOKS.register_module()
class KeypointTransferHook(Hook):
    """Fit the checkpoint of ``load_from`` to the skeleton of the training.

    Without it mmengine leaves out a head with another number of keypoints, and
    copies a head with the same number row by row, whatever its keypoints are.
    With this hook a keypoint starts with the rows of the same name; the log
    has the table. A checkpoint of transformers, of mmpose or an official one
    is converted, and a plain ViTPose starts from one dataset of a ViTPose++.
    Checkpoints with the same keypoints, resumed trainings and tests are not
    changed.

    Args:
        new: Rows of keypoints that the checkpoint does not have:
            ``'random'``, as the model is initialised, or ``'neighbours'``,
            the average of keypoints linked with them; see
            :func:`gtpt_mm.convert.transfer`.
        source: Skeleton of the checkpoint, if its file does not contain it:
            the name of one of mmpose, a metainfo file, or a list of names.
        dataset: Dataset of a ViTPose++ to start from; None takes the one that
            shares most keypoints.

    Raises:
        ValueError: If ``new`` is unknown; when loading, see
            :func:`gtpt_mm.convert.fit_checkpoint`.
    """

    # Before the EMA hook, which copies the weights.
    priority = 'VERY_HIGH'

    def __init__(
        self,
        new: str = 'random',
        source: str | Sequence[str] | None = None,
        dataset: str | None = None,
    ) -> None:
        if new not in NEW:
            raise ValueError(f'new must be one of {list(NEW)}, got {new!r}')
        self.new, self.source, self.dataset = new, source, dataset

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rearrange the weights before the model and its average load them."""
        is_training = isinstance(runner.optim_wrapper, OptimWrapper)
        # mmengine has no public way; EMAHook does so.
        if runner._resume or not is_training:
            return
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        if not metainfo.get('keypoint_id2name'):
            return  # no dataset of poses
        file = find_file(checkpoint)
        try:
            weights, words = fit_checkpoint(
                checkpoint,
                unwrap_model(runner.model),
                metainfo,
                self.source,
                self.dataset,
                self.new,
                file,
            )
        except ValueError as error:
            raise ValueError(f'load_from {file}: {error}') from error
        checkpoint['state_dict'] = weights
        if words:
            runner.logger.info(f'KeypointTransferHook: {file}: {words}')

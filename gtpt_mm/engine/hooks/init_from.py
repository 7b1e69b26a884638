"""Start a whole-body training from the weights of a body run."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from gtpt_mm.engine.body_weights import find_checkpoint, load_body_weights

from .unwrap import unwrap_model

#: Parameters that a whole-body model has and a body model lacks.
WHOLE_BODY_ONLY = {'backbone.part_embed', 'backbone.dense_embed'}


@HOOKS.register_module()
class InitFromHook(Hook):
    """Load the averaged weights of a body run before the first step.

    The second of the two official runs of GTPT: body keypoints first, all
    keypoints afterwards (see also :class:`CurriculumHook`, one run). Part and
    dense embeddings are new. A resumed training keeps its own weights.

    Source: Wang et al., "GTPT", ECCV 2024, end of Sec. 3.5, and supplement
    A; the official code starts the second run from the average of the first.

    Args:
        init_from: Checkpoint of a body run, native or official, or a work
            folder with one ``best_*.pth``.
    """

    # Before the EMA hook, whose average starts from the loaded weights.
    priority = 'ABOVE_NORMAL'

    def __init__(self, init_from: str) -> None:
        self.init_from = init_from
        self._load_from_used = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note whether ``load_from`` has set the weights."""
        # mmengine has no public way; EMAHook does so.
        self._load_from_used = not runner._resume

    def before_train(self, runner: Runner) -> None:
        """Load the weights, unless the training is resumed.

        Raises:
            ValueError: If ``load_from`` is set, or the checkpoint is missing
                or does not fit.
        """
        if runner.iter > 0:
            return
        if self._load_from_used:
            raise ValueError(
                f'init_from={self.init_from!r} would overwrite the weights '
                'of load_from; set only one of them'
            )
        path = find_checkpoint(self.init_from)
        weights = load_body_weights(unwrap_model(runner.model), path)
        runner.logger.info(f'InitFromHook: {path}: {weights}.')
        unexpected = [
            *weights.left_out,
            *sorted(set(weights.new) - WHOLE_BODY_ONLY),
        ]
        if unexpected:
            runner.logger.warning(
                'InitFromHook: a body model of the same arch differs in '
                f'{", ".join(sorted(WHOLE_BODY_ONLY))} only, this one also '
                f'in {", ".join(unexpected)}.'
            )

"""Pictures of tokens during validation."""

from collections.abc import Sequence

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpose.registry import HOOKS

from .crops import check_backbone, preprocess
from .keypoints import Keypoints
from .kinds import check_options, draw_crop


@HOOKS.register_module()
class GTPTVisualizationHook(Hook):
    """Draw what a GTPT keeps or looks at while it is validated.

    The first people of the validation set, at every ``interval``-th
    validation: the same people each time, so that pictures of one training
    can be compared. They go to all backends of the visualizer, under the
    names ``gtpt_{kind}_{number of the person}`` and the number of training
    iterations. They show the weights that are validated: with an EMA hook,
    the average.

    Args:
        kind: ``'pruning'`` draws the tokens that each pruning step keeps;
            ``'attention'`` the attention of keypoints in all layers,
            unpruned and pruned; ``'shallow'`` that of many keypoints in one
            layer.
        interval: Validations from one drawing to the next, > 0; the first
            validation is drawn.
        num_samples: People to draw, > 0.
        keypoints: Names or indices; None is the first sparse keypoint of
            each group (``'attention'``) or all sparse ones (``'shallow'``).
        layers: Layers, counted from 1; None is all (``'attention'``) or the
            first with keypoint tokens (``'shallow'``, which draws one).

    Raises:
        ValueError: If ``kind`` is unknown, a number is not positive, or an
            option does not belong to the kind; at the first validation if
            the model is no GTPT or has no such keypoint or layer.
    """

    def __init__(
        self,
        kind: str = 'pruning',
        interval: int = 1,
        num_samples: int = 2,
        keypoints: Keypoints | None = None,
        layers: Sequence[int] | None = None,
    ) -> None:
        check_options(kind, keypoints, layers)
        for name, number in dict(
            interval=interval, num_samples=num_samples
        ).items():
            if number <= 0:
                raise ValueError(f'{name} must be positive, got {number}')
        self.kind = kind
        self.interval = interval
        self.num_samples = num_samples
        self.keypoints = keypoints
        self.layers = layers
        self._num_validations = 0
        self._num_drawn = num_samples

    def before_val_epoch(self, runner) -> None:
        """Begin anew with the first person, if it is the turn."""
        if self._num_validations % self.interval == 0:
            self._num_drawn = 0
        self._num_validations += 1

    @master_only
    def after_val_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Draw people of this batch as long as some are wanted.

        An EMA hook has put the average into the model for the whole epoch.
        """
        inputs, samples = data_batch['inputs'], data_batch['data_samples']
        for img, sample in zip(inputs, samples, strict=True):
            if self._num_drawn == self.num_samples:
                return
            self._draw(runner, dict(inputs=img, data_samples=sample))
            self._num_drawn += 1

    def _draw(self, runner, data: dict) -> None:
        """Draw one sample of the validation pipeline."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        check_backbone(model)
        picture = draw_crop(
            self.kind,
            model.backbone,
            preprocess(model, data),
            runner.val_evaluator.dataset_meta,
            self.keypoints,
            self.layers,
        )
        runner.visualizer.add_image(
            f'gtpt_{self.kind}_{self._num_drawn}',
            np.ascontiguousarray(picture[..., ::-1]),  # BGR to RGB
            step=runner.iter,
        )

"""Pictures of tokens during validation."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from .crops import preprocess
from .draw import check_options, draw_tokens
from .keypoints import Keypoints


@HOOKS.register_module()
class GTPTVisualizationHook(Hook):
    """Draw the tokens that a GTPT keeps or attends to in validation.

    The first instances of the validation set are drawn at every
    ``interval``-th validation: the same ones each time, so that pictures of
    one training can be compared. They go to all backends of the visualizer,
    under the names ``gtpt_{kind}_{number of the instance}`` and the number of
    training iterations. They show the weights that are validated: with an
    EMA hook, the average.

    Args:
        kind: See :func:`draw_tokens`.
        interval: Number of validations from one drawing to the next, > 0; the
            first validation is drawn.
        num_samples: Instances to draw, > 0.
        keypoints: See :func:`draw_tokens`.
        layers: See :func:`draw_tokens`.

    Raises:
        ValueError: If ``kind`` is unknown, a number is not positive, or an
            option does not belong to the kind; at the first validation if the
            model is not a GTPT or has no such keypoint or layer.
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
        self.draw = partial(
            draw_tokens, kind=kind, keypoints=keypoints, layers=layers
        )
        self.interval = interval
        self.num_samples = num_samples
        self._num_validations = 0
        self._num_drawn = num_samples

    def before_val_epoch(self, runner: Runner) -> None:
        """Restart at the first instance if this validation is drawn."""
        if self._num_validations % self.interval == 0:
            self._num_drawn = 0
        self._num_validations += 1

    @master_only
    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence | None = None,
    ) -> None:
        """Draw instances of this batch until ``num_samples`` are drawn.

        An EMA hook has put the average into the model for the whole epoch.
        """
        inputs, samples = data_batch['inputs'], data_batch['data_samples']
        for img, sample in zip(inputs, samples, strict=True):
            if self._num_drawn == self.num_samples:
                return
            self._draw(runner, dict(inputs=img, data_samples=sample))
            self._num_drawn += 1

    def _draw(self, runner: Runner, data: dict) -> None:
        """Draw one sample of the validation pipeline."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        meta = runner.val_evaluator.dataset_meta
        crops = [preprocess(model, data)]
        picture = self.draw(model, crops, dataset_meta=meta)
        runner.visualizer.add_image(
            f'gtpt_{self.kind}_{self._num_drawn}',
            np.ascontiguousarray(picture[..., ::-1]),  # BGR to RGB
            step=runner.iter,
        )

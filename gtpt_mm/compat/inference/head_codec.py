"""Raise if a head decodes with another codec than its pipeline.

Broken: a top-down model of mmpose (<= 1.3.2) decodes with ``head.decoder``,
whatever codec the pipeline cropped and encoded with. Another ``input_size``
moves every keypoint, another ``heatmap_size`` is ignored in training; both
give wrong predictions silently.

Here: ``TopdownPoseEstimator`` compares the first sample of a batch with its
head's codec. The config check finds more, but only in a config; this also
covers models and data that are put together by hand.

Can go: when mmpose compares the codecs.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

REMEDY = (
    'give head.decoder and the encoder of GenerateTarget the same codec, and '
    'TopdownAffine its input_size'
)


def missing() -> str:
    """Say what is missing."""
    return 'mmpose decodes with another codec than it encodes with'


def repair() -> None:
    """Compare codecs before a top-down model trains or predicts."""
    from mmpose.models.pose_estimators import TopdownPoseEstimator as model

    model.loss = compare_first(model.loss)
    model.predict = compare_first(model.predict)


def compare_first(method: Callable) -> Callable:
    """Return ``loss`` or ``predict`` of a model, comparing codecs first."""

    @functools.wraps(method)
    def wrapper(self: Any, inputs: Any, data_samples: Any, *args: Any) -> Any:
        compare(getattr(self.head, 'decoder', None), data_samples)
        return method(self, inputs, data_samples, *args)

    return wrapper


def compare(codec: Any, data_samples: Sequence | None) -> None:
    """Compare a head's codec with a sample of the pipeline.

    Args:
        codec: The codec; None for a head without one, which is not checked.
        data_samples: A batch; only its first sample is checked.

    Raises:
        ValueError: If a size differs; all sizes are (w, h).
    """
    if codec is None or not data_samples:
        return
    sample = data_samples[0]
    _compare_size('input_size', codec, sample.metainfo.get('input_size'))
    heatmaps = getattr(sample.get('gt_fields'), 'heatmaps', None)
    if isinstance(heatmaps, list):  # of several codecs; the last one decodes
        heatmaps = heatmaps[-1]
    if heatmaps is not None:
        _compare_size('heatmap_size', codec, heatmaps.shape[:-3:-1])


def _compare_size(key: str, codec: Any, made: Sequence[int] | None) -> None:
    size = getattr(codec, key, None)
    if size is None or made is None:
        return
    # Heatmaps in three dimensions also have a depth, behind width and height.
    expected, given = (tuple(int(v) for v in x[:2]) for x in (size, made))
    if expected != given:
        raise ValueError(
            f'{key} (w, h) of head.decoder is {expected}, the pipeline made '
            f'{given}: every keypoint would be wrong; {REMEDY}'
        )

"""Compute PCKh on MPII if annotated heads have no size.

Broken in mmpose (<= 1.3.2): the function that computes every PCK replaces
sizes of 0 in its argument by 1e6, so that instances without a size count as
right from the second call on, +100 at the threshold of 0.1; a joint without
any annotation counts as -100. A test set without ``headbox_file`` is refused
after the first epoch.

Here: sizes are copied; instances without a size and joints without annotations
do not count; a missing ``headbox_file`` is an error before the run.

Can go: when mmpose leaves out heads without a size and checks the file first.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..messages import warn
from ..replacement import replace_class

#: Joints of MPII by the names of mmpose's metric.
JOINTS = {
    'Head PCK': (9,),
    'Shoulder PCK': (13, 12),
    'Elbow PCK': (14, 11),
    'Wrist PCK': (15, 10),
    'Hip PCK': (3, 2),
    'Knee PCK': (4, 1),
    'Ankle PCK': (5, 0),
}
#: Joints that the metric leaves out: pelvis and thorax.
MASKED = (6, 7)


def missing() -> str:
    """Say what is missing."""
    return 'MpiiPCKAccuracy gives +100 and -100 for heads without a size'


def repair() -> None:
    """Copy the sizes; register a metric that counts heads with a size."""
    from mmpose.datasets.datasets.body import MpiiDataset
    from mmpose.evaluation import metrics
    from mmpose.evaluation.functional import keypoint_eval
    from mmpose.registry import METRICS

    keypoint_eval._calc_distances = _copy_sizes(keypoint_eval._calc_distances)
    replace_class(CountedHeads, metrics.MpiiPCKAccuracy, METRICS)
    base: Any = MpiiDataset.metainfo

    def metainfo(self: MpiiDataset) -> dict:
        """Metainfo, and whether there is a file of head boxes."""
        return base.fget(self) | dict(headbox_file=self.headbox_file)

    MpiiDataset.metainfo = property(metainfo)


class CountedHeads:
    """Mixin before ``MpiiPCKAccuracy``: count instances with a head."""

    norm_item: Sequence[str]
    _dataset_meta: dict | None

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the dataset."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        if 'head' in self.norm_item and not dataset_meta.get(
            'headbox_file', True
        ):
            raise ValueError(
                'PCKh is relative to the size of the head: the MpiiDataset '
                'of the evaluation needs headbox_file=, the path of '
                "mpii_gt_val.mat; without it use type='PCKAccuracy'"
            )
        self._dataset_meta = dataset_meta

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return the PCKs of instances whose head has a size."""
        evaluate = super().compute_metrics  # type: ignore[misc]
        if 'head' not in self.norm_item:
            return evaluate(results)
        kept = [r for r in results if (r['head_size'] > 0).all()]
        _warn_of_heads(len(results) - len(kept), len(results))
        counts = sum((r['mask'].sum(0) for r in kept), np.zeros(16, int))
        if not np.delete(counts, MASKED).any():
            return {'PCK': 0.0, 'PCK@0.1': 0.0}
        return _leave_out(evaluate(kept), counts)


def _copy_sizes(calc_distances: Callable) -> Callable:
    """Return mmpose's function, leaving its arguments as they are."""

    @functools.wraps(calc_distances)
    def calculate(
        preds: np.ndarray,
        gts: np.ndarray,
        mask: np.ndarray,
        norm_factor: np.ndarray,
    ) -> np.ndarray:
        return calc_distances(preds, gts, mask, np.array(norm_factor))

    return calculate


def _leave_out(values: dict, counts: np.ndarray) -> dict:
    """Leave joints without annotations, which count as -100, out of means.

    Args:
        values: What the stock metric returned, in percent.
        counts: People who have a joint, for each of the 16.
    """
    values = dict(values)
    for name, joints in JOINTS.items():
        number = np.count_nonzero(counts[list(joints)])
        if not number:
            del values[name]
        elif number < len(joints):  # the mean of a value and -100
            values[name] = 2 * values[name] + 100
    return values


def _warn_of_heads(number: int, total: int) -> None:
    if number:
        warn(
            f'{number} of {total} people have a head of size 0 and do not '
            'count in PCKh'
        )

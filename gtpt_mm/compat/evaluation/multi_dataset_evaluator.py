"""Let MultiDatasetEvaluator take several datasets of one class.

Broken: ``MultiDatasetEvaluator`` of mmpose (<= 1.3.2) distinguishes datasets
by the name in the metainfo of their class. Two datasets of one class share
it: the first metric gets no sample and fails after the validation with "not
enough values to unpack". A ``metainfo`` in the config of a dataset is not
read.

Here: samples carry the annotation file of their dataset, which distinguishes
them; the name is used if no dataset has that file. The metainfo is that of
the config.

Can go: when mmpose distinguishes datasets of one class.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric, Evaluator

from ..replacement import replace_class


def missing() -> str:
    """Say what is missing."""
    return 'MultiDatasetEvaluator cannot distinguish datasets of one class'


def repair() -> None:
    """Mark samples with their file; register an evaluator that reads it."""
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset
    from mmpose.datasets.transforms import PackPoseInputs
    from mmpose.evaluation import evaluators
    from mmpose.registry import EVALUATORS

    dataset: Any = BaseCocoStyleDataset
    dataset.get_data_info = _mark(dataset.get_data_info)
    PackPoseInputs.transform = _pack_mark(PackPoseInputs.transform)
    replace_class(ByFile, evaluators.MultiDatasetEvaluator, EVALUATORS)


class ByFile(Evaluator):
    """Mixin before ``MultiDatasetEvaluator``: metrics by file."""

    def __init__(self, metrics: Any, datasets: Sequence[dict]) -> None:
        from mmpose.datasets.datasets.utils import parse_pose_metainfo
        from mmpose.registry import DATASETS

        if len(metrics) != len(datasets):
            raise ValueError(
                f'{len(metrics)} metrics for {len(datasets)} datasets; give '
                'one for each'
            )
        Evaluator.__init__(self, metrics)  # the stock one reads the classes
        self.metrics_dict: dict[str, BaseMetric] = {}
        self._by_file: dict[str, BaseMetric] = {}
        for cfg, metric in zip(datasets, self.metrics, strict=True):
            kind = DATASETS.get(cfg['type'])
            meta = parse_pose_metainfo(cfg.get('metainfo') or kind.METAINFO)
            metric.dataset_meta = meta
            self.metrics_dict.setdefault(meta['dataset_name'], metric)
            path = _path(cfg)
            if path in self._by_file:
                raise ValueError(
                    f'datasets names {path} twice: their samples cannot be '
                    'distinguished'
                )
            self._by_file[path] = metric

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the test set; a metric has that of its dataset."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta

    def _find(self, sample: dict) -> BaseMetric | None:
        """Return the metric of a sample, by its file or else its name."""
        path = os.path.abspath(sample.get('ann_file') or '')
        default = (self.dataset_meta or {}).get('dataset_name', '')
        name = sample.get('dataset_name', default)
        return self._by_file.get(path) or self.metrics_dict.get(name)

    def process(self, data_samples: Sequence, data_batch: Any = None) -> None:
        """Give predictions to the metrics of their datasets.

        Samples of a dataset without a metric are skipped, as in mmpose.
        """
        parts: dict[int, tuple[BaseMetric, list]] = {}
        for sample in data_samples:
            values = sample if isinstance(sample, dict) else sample.to_dict()
            metric = self._find(values)
            if metric is not None:
                parts.setdefault(id(metric), (metric, []))[1].append(values)
        for metric, part in parts.values():
            # No metric of mmpose reads the batch.
            metric.process(data_batch, part)


def _path(cfg: dict) -> str:
    """Return the annotation file of a dataset's config, absolute."""
    root, name = cfg.get('data_root') or '', cfg.get('ann_file') or ''
    return os.path.abspath(os.path.join(root, name))


def _mark(get_data_info: Callable) -> Callable:
    """Return a dataset's method that adds the annotation file."""

    @functools.wraps(get_data_info)
    def get(self: Any, idx: int) -> dict:
        return {'ann_file': self.ann_file, **get_data_info(self, idx)}

    return get


def _pack_mark(transform: Callable) -> Callable:
    """Return a step that packs the annotation file for any ``meta_keys``."""

    @functools.wraps(transform)
    def pack(self: Any, results: dict) -> dict:
        packed = transform(self, results)
        if 'ann_file' in results:
            mark = dict(ann_file=results['ann_file'])
            packed['data_samples'].set_metainfo(mark)
        return packed

    return pack

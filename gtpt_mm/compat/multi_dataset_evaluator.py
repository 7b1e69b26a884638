"""MultiDatasetEvaluator with several datasets of one class.

Broken: ``MultiDatasetEvaluator`` of mmpose (<= 1.3.2) tells datasets by the
name in the metainfo of their class. Two of one class share it: the first
metric gets no sample and fails after the validation with "not enough values
to unpack". A ``metainfo`` in the config of a dataset is not read.

Here: samples carry the annotation file of their dataset, which tells them
apart; the name counts where files do not. The metainfo is that of the config.

Can go: when mmpose tells them apart.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any


def missing() -> str:
    """Say what is missing."""
    return 'MultiDatasetEvaluator takes two datasets of one class for one'


def repair() -> None:
    """Mark samples with their file; register an evaluator that reads it."""
    from mmengine.evaluator import Evaluator
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.datasets.transforms import PackPoseInputs
    from mmpose.evaluation import evaluators
    from mmpose.evaluation.evaluators import mutli_dataset_evaluator
    from mmpose.registry import DATASETS, EVALUATORS

    stock = evaluators.MultiDatasetEvaluator
    dataset: Any = BaseCocoStyleDataset
    dataset.get_data_info = _mark(dataset.get_data_info)
    PackPoseInputs.transform = _pack_mark(PackPoseInputs.transform)

    class MultiDatasetEvaluator(stock):
        __doc__ = stock.__doc__

        def __init__(self, metrics: Any, datasets: Sequence[dict]) -> None:
            if len(metrics) != len(datasets):
                raise ValueError(
                    f'{len(metrics)} metrics for {len(datasets)} datasets; '
                    'give one for each'
                )
            Evaluator.__init__(self, metrics)
            self.metrics_dict, self._by_file = {}, {}
            for cfg, metric in zip(datasets, self.metrics, strict=True):
                kind = DATASETS.get(cfg['type'])
                meta = parse_pose_metainfo(
                    cfg.get('metainfo') or kind.METAINFO
                )
                metric.dataset_meta = meta
                self.metrics_dict.setdefault(meta['dataset_name'], metric)
                path = _path(cfg)
                if path in self._by_file:
                    raise ValueError(
                        f'datasets names {path} twice: nothing tells their '
                        'samples apart'
                    )
                self._by_file[path] = metric

        def process(
            self, data_samples: Sequence, data_batch: Any = None
        ) -> None:
            """Give predictions to the metrics of their datasets."""
            parts: dict[int, tuple[Any, list]] = {}
            for sample in data_samples:
                if not isinstance(sample, dict):
                    sample = sample.to_dict()
                metric = self._by_file.get(
                    os.path.abspath(sample.get('ann_file') or '')
                ) or self.metrics_dict.get(
                    sample.get(
                        'dataset_name', self.dataset_meta['dataset_name']
                    )
                )
                if metric is not None:  # stock passes over others, too
                    parts.setdefault(id(metric), (metric, []))[1].append(
                        sample
                    )
            for metric, part in parts.values():
                # No metric of mmpose reads the batch.
                metric.process(data_batch, part)

    MultiDatasetEvaluator.__module__ = stock.__module__
    MultiDatasetEvaluator.__qualname__ = 'MultiDatasetEvaluator'
    EVALUATORS.register_module(force=True, module=MultiDatasetEvaluator)
    for place in (evaluators, mutli_dataset_evaluator):
        place.MultiDatasetEvaluator = MultiDatasetEvaluator


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
    """Return a step that packs the annotation file, whatever meta_keys."""

    @functools.wraps(transform)
    def pack(self: Any, results: dict) -> dict:
        packed = transform(self, results)
        if 'ann_file' in results:
            mark = dict(ann_file=results['ann_file'])
            packed['data_samples'].set_metainfo(mark)
        return packed

    return pack

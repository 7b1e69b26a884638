"""Metrics of several datasets after one pass, in one table."""

from collections.abc import Sequence

from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from mmpose.registry import EVALUATORS

from gtpt_mm.layers.expert_mlp import check_dataset_names

#: Columns of the table and their decimals: AP is a share, PCK a percentage.
DIGITS = {'AP': 4, 'AP .5': 4, 'AP .75': 4, 'AR': 4, 'PCK': 2, 'PCK@0.1': 2}


@EVALUATORS.register_module()
class PerDatasetEvaluator(Evaluator):
    """Hand each sample to the metric of its dataset.

    Results are named ``coco/AP``, ``mpii/PCK`` and so on. mmpose's
    ``MultiDatasetEvaluator`` distinguishes datasets by the name in their
    metainfo and leaves prefixes to the config. Any model works, also a plain
    ``TopdownPoseEstimator``: only the test set must be a ``MultiDataset``.

    Args:
        names: Names of all datasets of the model, in the order of
            ``dataset_idx``.
        metrics: Config of the metric of each dataset in the test set, by
            name; the name is its prefix.

    Raises:
        ValueError: If a name is not among ``names``; before a run, if the
            ``MultiDataset`` numbers its datasets differently; when it runs,
            if a sample's dataset has no metric.
    """

    def __init__(self, names: Sequence[str], metrics: dict[str, dict]) -> None:
        unknown = set(metrics) - set(names)
        if unknown or not metrics:
            raise ValueError(
                f'metrics must name one or more of {list(names)}, got '
                f'{list(metrics)}'
            )
        self.names = tuple(names)
        metrics = {n: metrics[n] for n in names if n in metrics}
        super().__init__(
            [dict(metric, prefix=name) for name, metric in metrics.items()]
        )
        self.metrics_by_name = dict(zip(metrics, self.metrics, strict=True))

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of ``MultiDataset``; a metric has that of its dataset."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        metainfos = dataset_meta.get('datasets')
        if metainfos is None or set(metainfos) != set(self.metrics_by_name):
            raise ValueError(
                f'metrics are for {list(self.metrics_by_name)}, the test '
                f'set has {list(metainfos or [])}; it must be a MultiDataset '
                'with the same names'
            )
        given = dataset_meta.get('dataset_names')
        check_dataset_names(
            (
                dict(
                    dataset_idx=given.index(name),
                    dataset_name=name,
                    dataset_names=given,
                )
                for name in metainfos
                if given
            ),
            self.names,
            type(self).__name__,
        )
        self._dataset_meta = dataset_meta
        for name, metric in self.metrics_by_name.items():
            metric.dataset_meta = metainfos[name]

    def process(
        self,
        data_samples: Sequence[BaseDataElement],
        data_batch: dict | None = None,
    ) -> None:
        """Give predictions to the metrics of their datasets.

        Args:
            data_samples: Predictions, with ``dataset_idx`` in the metainfo.
            data_batch: The batch; no metric of mmpose reads it.
        """
        parts: dict[str, list[dict]] = {}
        samples = [sample.to_dict() for sample in data_samples]
        check_dataset_names(samples, self.names, type(self).__name__)
        for sample in samples:
            name = self.names[sample['dataset_idx']]
            parts.setdefault(name, []).append(sample)
        for name, part in parts.items():
            if name not in self.metrics_by_name:
                raise ValueError(
                    f'{len(part)} samples belong to {name!r}, which has no '
                    f'metric; there are {list(self.metrics_by_name)}'
                )
            self.metrics_by_name[name].process(data_batch, part)

    def evaluate(self, size: int) -> dict:
        """Return all metrics of ``size`` samples; log them as a table."""
        metrics = super().evaluate(size)
        if is_main_process():
            print_log('\n' + format_table(metrics), logger='current')
        return metrics


def format_table(metrics: dict[str, float]) -> str:
    """Format metrics as a table: one row per dataset, one column per metric.

    Args:
        metrics: Values by ``dataset/metric``; metrics that ``DIGITS`` does
            not name are left out.

    Example:
        >>> print(format_table({'coco/AP': 0.5, 'mpii/PCK': 90.0}))
        dataset       AP     PCK
        coco      0.5000       -
        mpii           -   90.00
    """
    rows: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        name, _, metric = key.partition('/')
        rows.setdefault(name, {})[metric] = value
    columns = [c for c in DIGITS if any(c in row for row in rows.values())]
    width = max(len('dataset'), *(len(name) for name in rows)) + 1
    lines = ['dataset'.ljust(width) + ''.join(f'{c:>8}' for c in columns)]
    for name, row in rows.items():
        cells = [
            f'{row[c]:.{DIGITS[c]}f}' if c in row else '-' for c in columns
        ]
        lines.append(name.ljust(width) + ''.join(f'{c:>8}' for c in cells))
    return '\n'.join(lines)

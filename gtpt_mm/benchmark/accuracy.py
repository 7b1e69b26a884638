"""AP or PCK of the timed networks, all under the same settings."""

# B batch, (h, w) input in pixels

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.evaluation.metrics import CocoMetric
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import DATASETS, METRICS, MODELS
from torch import Tensor, nn

from .network import Network, find_test_set

METRIC_NAMES = ('AP', 'PCK')
#: PCK counts a keypoint within this part of the larger side of the box.
PCK_THRESHOLD = 0.2
#: Crops of a call, and the number of crops that calibrate int8.
BATCH_SIZE, NUM_CROPS = 8, 64
GROUND_TRUTH, NO_BOXES = 'ground truth', 'none: it finds people itself'


@dataclass(frozen=True)
class AccuracyConfig:
    """Settings of a test; the same for all models of a table.

    Attributes:
        ann_file: Annotations in COCO's format.
        images: Folder of their pictures.
        metric: ``'AP'``, or ``'PCK'`` at 0.2 of the box.
        boxes: COCO's file of detected boxes; None for those of the
            annotations.
        flip_test: Whether outputs are averaged with those of the mirror image;
            None follows each config.
    """

    ann_file: Path
    images: Path
    metric: str = 'AP'
    boxes: Path | None = None
    flip_test: bool | None = None

    def __post_init__(self) -> None:
        for path in filter(None, (self.ann_file, self.boxes)):
            if not path.is_file():
                raise ValueError(f'there is no file {path}')
        if not self.images.is_dir():
            raise ValueError(f'there is no folder {self.images}')
        if self.metric not in METRIC_NAMES:
            raise ValueError(
                f'metric must be one of {METRIC_NAMES}, got {self.metric!r}'
            )
        if self.boxes and self.metric == 'PCK':
            raise ValueError(
                'PCK compares with the instance of each box: it requires the '
                'boxes of the annotations, not --boxes'
            )


class AccuracySettings(NamedTuple):
    """How an accuracy was measured.

    Attributes:
        metric: ``'AP'`` or ``'PCK@0.2'``.
        data: Name of the annotation file.
        boxes: Source of the boxes of the crops.
        flip_test: Whether the mirror image was averaged.
    """

    metric: str
    data: str
    boxes: str
    flip_test: bool


class Accuracy(NamedTuple):
    """An accuracy and its settings.

    Attributes:
        value: From 0 to 1.
        decoder: Name of the codec that decodes the outputs.
        settings: Settings that must be the same in a table.
    """

    value: float
    decoder: str
    settings: AccuracySettings


def check_settings(settings: dict[str, AccuracySettings]) -> None:
    """Refuse accuracies that must not be compared.

    Args:
        settings: Settings by the label of the model.

    Raises:
        ValueError: If they differ; it names the models and the remedy.
    """
    remedies = dict(
        metric='measure one metric',
        data='measure on one set',
        boxes='compare in two runs, models with boxes and models without',
        flip_test='give --flip-test on or off',
    )
    for name, remedy in remedies.items():
        values: dict[object, str] = {}
        for label, row in settings.items():
            values.setdefault(getattr(row, name), label)
        if len(values) > 1:
            (a, first), (b, second) = list(values.items())[:2]
            raise ValueError(
                f'the {name.replace("_", " ")} of {first} is {a}, that of '
                f'{second} {b}: their accuracies are not comparable; {remedy}'
            )


class Tester:
    """Tests networks on a set.

    Args:
        config: The settings.
        networks: Networks to test; those with random weights are skipped.

    Raises:
        ValueError: If no network has weights, or their settings differ.
    """

    def __init__(
        self, config: AccuracyConfig, networks: Sequence[Network]
    ) -> None:
        self.config = config
        self.settings = {
            network.label: self._settings(network)
            for network in networks
            if network.has_weights and network.config is not None
        }
        if not self.settings:
            raise ValueError(
                '--data tests models with weights; give weights=FILE or '
                'weights=public behind a model'
            )
        check_settings(self.settings)

    def _settings(self, network: Network) -> AccuracySettings:
        config = self.config
        flip_test = config.flip_test
        if flip_test is None:
            test_cfg = network.cfg.model.get('test_cfg') or {}
            flip_test = bool(test_cfg.get('flip_test', False))
        boxes = GROUND_TRUTH if config.boxes is None else config.boxes.name
        if find_test_set(network.cfg).get('data_mode') == 'bottomup':
            boxes, flip_test = NO_BOXES, False
        metric = 'AP' if config.metric == 'AP' else f'PCK@{PCK_THRESHOLD}'
        return AccuracySettings(metric, config.ann_file.name, boxes, flip_test)

    def test(
        self,
        network: Network,
        forward: Callable[[Tensor], Any],
        model: nn.Module | None,
    ) -> Accuracy:
        """Return the accuracy of a network in one case.

        Args:
            network: One of those with weights.
            forward: The network of the case: normalised images to outputs of
                the head.
            model: Its model if the case runs in PyTorch, else None.

        Raises:
            ValueError: If the set does not fit, or the model cannot be
                tested in this case.
        """
        init_default_scope(network.cfg.get('default_scope', 'mmpose'))
        settings = self.settings[network.label]
        estimator = self._estimator(network, forward, model)
        estimator.test_cfg = {
            **(estimator.test_cfg or {}), 'flip_test': settings.flip_test
        }  # fmt: skip
        dataset = self._dataset(network)
        metric = self._metric(network.cfg)
        metric.dataset_meta = dataset.metainfo
        with torch.inference_mode():
            for start in range(0, len(dataset), BATCH_SIZE):
                stop = min(start + BATCH_SIZE, len(dataset))
                batch = pseudo_collate(
                    [dataset[i] for i in range(start, stop)]
                )
                data = estimator.data_preprocessor(batch)
                samples = estimator.predict(
                    data['inputs'], data['data_samples']
                )
                metric.process(batch, [s.to_dict() for s in samples])
        found = metric.evaluate(len(dataset))
        [value] = [
            v for k, v in found.items() if k.split('/')[-1] in METRIC_NAMES
        ]
        decoder = network.cfg.model.head.get('decoder') or {}
        return Accuracy(
            float(value), decoder.get('type', 'its head'), settings
        )

    def find_crops(self, network: Network) -> list[Tensor]:
        """Return normalised crops of the set, (1, 3, h, w), evenly spread."""
        dataset = self._dataset(network)
        preprocess = MODELS.build(network.cfg.model.data_preprocessor)
        step = max(1, len(dataset) // NUM_CROPS)
        indices = range(0, len(dataset), step)[:NUM_CROPS]
        return [
            preprocess(pseudo_collate([dataset[i]]))['inputs'] for i in indices
        ]

    def _estimator(
        self,
        network: Network,
        forward: Callable[[Tensor], Any],
        model: nn.Module | None,
    ) -> Any:
        """Return an estimator of mmpose that predicts by ``forward``."""
        given = network.model
        if isinstance(given, BasePoseEstimator) and not isinstance(
            given, TopdownPoseEstimator
        ):
            if model is None:
                raise ValueError('bottom-up models are tested in PyTorch only')
            return copy.deepcopy(model)
        if isinstance(given, BasePoseEstimator):
            estimator = copy.deepcopy(given)
        else:
            estimator = MODELS.build(network.cfg.model)
        dtype = next(model.parameters()).dtype if model else torch.float32

        def extract_feat(images: Tensor) -> Any:
            return _to_float(forward(images.to(dtype)))

        # mmpose's heads call their forward in predict, then decode.
        estimator.extract_feat = extract_feat
        estimator.head.forward = _same
        return estimator.eval()

    def _dataset(self, network: Network) -> BaseCocoStyleDataset:
        init_default_scope(network.cfg.get('default_scope', 'mmpose'))
        given: Any = copy.deepcopy(dict(find_test_set(network.cfg)))
        given.update(
            ann_file=str(self.config.ann_file.resolve()),
            data_root='',
            data_prefix=dict(img=str(self.config.images.resolve())),
            test_mode=True,
            bbox_file=self.config.boxes and str(self.config.boxes.resolve()),
        )
        try:
            dataset = DATASETS.build(given)
        except Exception as error:  # of files, and of keys
            raise ValueError(
                f'{self.config.ann_file} cannot test {network.label}: '
                f'{type(error).__name__}: {error}'
            ) from error
        if not len(dataset):
            raise ValueError(f'{self.config.ann_file} has nobody')
        return dataset

    def _metric(self, cfg: Config) -> Any:
        if self.config.metric == 'PCK':
            return METRICS.build(
                dict(type='PCKAccuracy', thr=PCK_THRESHOLD, norm_item='bbox')
            )
        evaluator = cfg.get('test_evaluator') or cfg.get('val_evaluator') or {}
        first = evaluator[0] if isinstance(evaluator, list) else evaluator
        given = ConfigDict(copy.deepcopy(first))
        kind = METRICS.get(given.get('type', ''))
        if not (isinstance(kind, type) and issubclass(kind, CocoMetric)):
            given = ConfigDict(type='CocoMetric')
        given.ann_file = str(self.config.ann_file.resolve())
        return METRICS.build(given)


def _to_float(outputs: Any) -> Any:
    """Return outputs in float32: numpy has no bf16."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    return type(outputs)(_to_float(part) for part in outputs)


def _same(outputs: Any) -> Any:
    return outputs

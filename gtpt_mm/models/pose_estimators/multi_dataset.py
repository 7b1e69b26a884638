"""A top-down estimator for several datasets."""

# B batch, K keypoints, (H, W) image, (h, w) heatmap

from collections.abc import Sequence

from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import (
    ConfigType,
    Features,
    OptConfigType,
    OptMultiConfig,
)
from torch import Tensor

from gtpt_mm.layers.expert_mlp import (
    DatasetGroups,
    check_dataset_names,
    group_by_dataset,
)
from gtpt_mm.models.heads.multi_dataset_head import MultiDatasetHead

#: Options that may differ between datasets. ``flip_test`` may not: the
#: backbone runs once for the batch.
TEST_OPTIONS = {'flip_mode', 'shift_heatmap'}


@MODELS.register_module()
class MultiDatasetPoseEstimator(TopdownPoseEstimator):
    """Images of several datasets in one batch, each with its experts.

    ``dataset_idx`` in the metainfo of a sample is its dataset. The estimator
    sorts a batch by it once; backbone and head work on contiguous groups, and
    predictions return in the order of the batch. A batch of one dataset runs
    only the experts of that dataset, at the cost of a model without experts.
    The ``dataset_name`` that ``MultiDataset`` stamps on a sample must be the
    name in the head.

    Args:
        backbone: Backbone. One with ``num_experts`` gets the sizes of the
            groups, see ``ViTPose``; any other treats all images alike (the
            multi-task baseline of "ViTPose++", Sec. 4.4.1).
        neck: As for ``TopdownPoseEstimator``.
        head: A ``MultiDatasetHead``.
        train_cfg: As for ``TopdownPoseEstimator``.
        test_cfg: As for ``TopdownPoseEstimator``, with two more keys:
            ``datasets``, options that differ for one dataset, such as
            ``dict(aic=dict(shift_heatmap=True))``; ``dataset``, the name of
            the dataset for plain tensors (``mode='tensor'``) and for images
            without a ``dataset_idx``; for the latter the default is the first.
        data_preprocessor: As for ``TopdownPoseEstimator``.
        init_cfg: As for ``TopdownPoseEstimator``.

    Raises:
        ValueError: If the head is for one dataset only, the numbers of
            experts and heads differ, or ``test_cfg`` has an unknown name.
    """

    def __init__(
        self,
        backbone: ConfigType,
        neck: OptConfigType = None,
        head: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(
            backbone, neck, head, train_cfg, test_cfg, data_preprocessor,
            init_cfg,
        )  # fmt: skip
        self.num_experts: int = getattr(self.backbone, 'num_experts', 0)
        if not isinstance(getattr(self, 'head', None), MultiDatasetHead):
            raise ValueError(
                'head must be a MultiDatasetHead; for one dataset use '
                'TopdownPoseEstimator'
            )
        names = self.head.names
        if self.num_experts not in (0, len(names)):
            raise ValueError(
                f'{self.num_experts} experts, but heads for {list(names)}; '
                'give each dataset one of both'
            )
        given = self.test_cfg.get('datasets', {})
        chosen = self.test_cfg.get('dataset')
        unknown = {*given, *([chosen] if chosen else [])} - set(names)
        if unknown:
            raise ValueError(
                f'test_cfg names {sorted(unknown)}; there are {list(names)}'
            )
        for name, options in given.items():
            if set(options) - TEST_OPTIONS:
                raise ValueError(
                    f'test_cfg of {name!r} has {sorted(options)}; a dataset '
                    f'may override {sorted(TEST_OPTIONS)}'
                )

    def _group(self, samples: Sequence[PoseDataSample]) -> DatasetGroups:
        """Group the samples of a batch by their dataset."""
        dataset_idx = [s.metainfo.get('dataset_idx') for s in samples]
        if None in dataset_idx:
            raise ValueError(
                'a sample has no dataset_idx in its metainfo; take it from '
                'MultiDataset, or split off the model of one dataset '
                '(gtpt-mm split)'
            )
        check_dataset_names(
            (s.metainfo for s in samples), self.head.names, 'the head'
        )
        return group_by_dataset(dataset_idx, len(self.head.names))

    def extract_feat(
        self, inputs: Tensor, counts: tuple[int, ...] | None = None
    ) -> tuple[Tensor, ...]:
        """Return the features of images.

        Args:
            inputs: Images grouped by dataset, (B, 3, H, W).
            counts: Images of each dataset, numbers that add up to B; None:
                all belong to ``test_cfg.dataset``.
        """
        if not self.num_experts:
            return super().extract_feat(inputs)
        if counts is None:
            default = [self._default_dataset()] * len(inputs)
            counts = group_by_dataset(default, self.num_experts).counts
        feats = self.backbone(inputs, counts)
        return self.neck(feats) if self.with_neck else feats

    def _default_dataset(self) -> int:
        name = self.test_cfg.get('dataset')
        if name is None:
            raise ValueError(
                'nothing says which dataset the images belong to: give '
                f'test_cfg.dataset, one of {list(self.head.names)}'
            )
        return self.head.names.index(name)

    def loss(
        self, inputs: Tensor, data_samples: list[PoseDataSample]
    ) -> dict[str, Tensor]:
        """Return the losses of a batch, see ``MultiDatasetHead.loss``."""
        groups = self._group(data_samples)
        feats = self.extract_feat(groups.sort(inputs), groups.counts)
        samples = groups.sort_list(data_samples)
        return self.head.loss(feats, samples, groups.counts, self.train_cfg)

    def predict(
        self, inputs: Tensor, data_samples: list[PoseDataSample]
    ) -> list[PoseDataSample]:
        """Return the samples with their poses, each with its dataset's K.

        If no sample has a ``dataset_idx``, as from an inferencer, all belong
        to ``test_cfg.dataset``, by default the first.
        """
        if any('dataset_idx' in s.metainfo for s in data_samples):
            groups = self._group(data_samples)
        else:
            names = self.head.names
            index = names.index(self.test_cfg.get('dataset') or names[0])
            groups = group_by_dataset([index] * len(inputs), len(names))
        inputs = groups.sort(inputs)
        samples = groups.sort_list(data_samples)
        feats: Features = self.extract_feat(inputs, groups.counts)
        if self.test_cfg.get('flip_test', False):
            flipped = self.extract_feat(inputs.flip(-1), groups.counts)
            feats = [feats, flipped]
        predicted = self.head.predict(
            feats, samples, groups.counts, self.test_cfg
        )
        poses, fields = (
            predicted if isinstance(predicted, tuple) else (predicted, None)
        )
        results = self.add_pred_to_datasample(poses, fields, samples)
        return groups.unsort_list(results)

    def _forward(self, inputs: Tensor, data_samples: object = None) -> Tensor:
        """Return the heatmaps (B, K, h, w) of ``test_cfg.dataset``."""
        name = self.head.names[self._default_dataset()]
        return self.head.heads[name](self.extract_feat(inputs))

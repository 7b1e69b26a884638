"""A top-down estimator for several datasets."""

# B batch, K keypoints, (H, W) image, (h, w) heat map

from collections.abc import Sequence

from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import (
    ConfigType,
    OptConfigType,
    OptMultiConfig,
)
from torch import Tensor

from gtpt_mm.models.heads.multi_dataset_head import MultiDatasetHead

#: Options that a dataset may have of its own. Whether to flip is not among
#: them: the backbone runs once for the batch.
OWN_TEST_OPTIONS = {'flip_mode', 'shift_heatmap'}


@MODELS.register_module()
class MultiDatasetPoseEstimator(TopdownPoseEstimator):
    """Images of several datasets in one batch, each by its own experts.

    The dataset of a sample is ``dataset_idx`` in its metainfo; it chooses the
    experts of the backbone, the head, its codec and the test options. A batch
    of one dataset runs its experts only, at the cost of a model without.

    Args:
        backbone: Backbone. If it has ``num_experts``, it is also given the
            datasets, see ``ViTPose``; any other serves all alike (the
            multi-task baseline of "ViTPose++", Sec. 4.4.1).
        neck: Neck, as of ``TopdownPoseEstimator``.
        head: A ``MultiDatasetHead``.
        train_cfg: As of ``TopdownPoseEstimator``.
        test_cfg: As of ``TopdownPoseEstimator``, and two keys more:
            ``datasets``, options of one dataset instead of all, such as
            ``dict(aic=dict(shift_heatmap=True))``; ``dataset``, the name of
            the one that plain tensors belong to (``mode='tensor'``).
        data_preprocessor: As of ``TopdownPoseEstimator``.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If the head is of one dataset only, experts and heads are
            not as many, or ``test_cfg`` names what does not exist.
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
            backbone=backbone,
            neck=neck,
            head=head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self._check()

    @property
    def num_experts(self) -> int:
        """Number of datasets that the backbone has experts for, or 0."""
        return getattr(self.backbone, 'num_experts', 0)

    def _check(self) -> None:
        if not isinstance(getattr(self, 'head', None), MultiDatasetHead):
            raise ValueError(
                'head must be a MultiDatasetHead; for one dataset take '
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
            if set(options) - OWN_TEST_OPTIONS:
                raise ValueError(
                    f'test_cfg of {name!r} has {sorted(options)}; a dataset '
                    f'may have {sorted(OWN_TEST_OPTIONS)} of its own'
                )

    def extract_feat(
        self, inputs: Tensor, dataset_idx: Sequence[int] | None = None
    ) -> tuple[Tensor, ...]:
        """Return the features of images.

        Args:
            inputs: Images, (B, 3, H, W).
            dataset_idx: Dataset of each image, B numbers; None takes that of
                ``test_cfg.dataset`` for all.
        """
        if not self.num_experts:
            return super().extract_feat(inputs)
        if dataset_idx is None:
            dataset_idx = [self._default_dataset()] * len(inputs)
        feats = self.backbone(inputs, dataset_idx)
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
        dataset_idx = self.head.read_dataset_idx(data_samples)
        feats = self.extract_feat(inputs, dataset_idx)
        return self.head.loss(feats, data_samples, train_cfg=self.train_cfg)

    def predict(
        self, inputs: Tensor, data_samples: list[PoseDataSample]
    ) -> list[PoseDataSample]:
        """Return the samples with their poses, each with its dataset's K."""
        dataset_idx = self.head.read_dataset_idx(data_samples)
        feats = self.extract_feat(inputs, dataset_idx)
        if self.test_cfg.get('flip_test', False):
            feats = [feats, self.extract_feat(inputs.flip(-1), dataset_idx)]
        predicted = self.head.predict(feats, data_samples, self.test_cfg)
        poses, fields = (
            predicted if isinstance(predicted, tuple) else (predicted, None)
        )
        return self.add_pred_to_datasample(poses, fields, data_samples)

    def _forward(self, inputs: Tensor, data_samples: object = None) -> Tensor:
        """Return the heat maps (B, K, h, w) of ``test_cfg.dataset``."""
        name = self.head.names[self._default_dataset()]
        return self.head.heads[name](self.extract_feat(inputs))

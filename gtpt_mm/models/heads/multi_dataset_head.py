"""A head for each of several datasets."""

# B batch, n samples of one dataset, K keypoints, C channels, (h, w) map

from collections.abc import Sequence

import torch
from mmengine.dist import get_world_size
from mmengine.model import ModuleDict
from mmpose.evaluation.functional import pose_pck_accuracy
from mmpose.models.heads import HeatmapHead
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import (
    ConfigType,
    Features,
    OptConfigType,
    Predictions,
)
from torch import Tensor, nn


@MODELS.register_module()
class MultiDatasetHead(BaseHead):
    """Heat maps of several datasets, each with keypoints of its own.

    Each dataset has a head with its own number of keypoints, codec and test
    options. The loss of dataset k is

        loss_k = n_k / B * (mean loss of its n_k samples)

    and the total is the plain sum, so that every sample counts once, whatever
    its number of keypoints.

    Source: the authors' code of Xu et al., "ViTPose++"; the paper says no
    more than that each task has its decoder.

    Args:
        names: Names of the datasets, in the order of ``dataset_idx``. (A
            written config has the keys of ``heads`` in alphabetical order.)
        heads: Config of the head of each dataset, by name. What it does not
            say, ``shared`` does.
        shared: What the heads have in common, such as ``in_channels``.
        own_samples_only: Whether a head sees the samples of its dataset only.
            By default, as in the authors' code, each sees the whole batch, so
            that its BatchNorms take their statistics from all datasets; at
            test time they meet one. True costs less, too: a head then runs on
            n_k samples instead of B. The numbers are then not the authors'.
        train_only: Names of the heads that are trained, the others are
            frozen, and samples of theirs refused; None trains all.
        init_cfg: Initialisation, see mmengine; that of each head is its own.

    Raises:
        ValueError: If ``names`` and ``heads`` differ, a head is not a
            ``HeatmapHead``, or ``train_only`` names one that does not exist.

    Example:
        >>> head = MultiDatasetHead(
        ...     names=['a', 'b'],
        ...     heads=dict(a=dict(out_channels=17), b=dict(out_channels=9)),
        ...     shared=dict(type='HeatmapHead', in_channels=32),
        ... )
        >>> maps = head((torch.rand(2, 32, 4, 3),))
        >>> maps['b'].shape
        torch.Size([2, 9, 32, 24])
    """

    def __init__(
        self,
        names: Sequence[str],
        heads: dict[str, dict],
        shared: OptConfigType = None,
        own_samples_only: bool = False,
        train_only: Sequence[str] | None = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(init_cfg)
        if sorted(names) != sorted(heads) or not names:
            raise ValueError(
                f'names={list(names)} must be those of the heads, each once; '
                f'there are heads for {list(heads)}'
            )
        self.heads = ModuleDict(  # mmengine's: it initialises its modules
            {
                name: MODELS.build({**(shared or {}), **heads[name]})
                for name in names
            }
        )
        for name, head in self.heads.items():
            if not isinstance(head, HeatmapHead):
                raise ValueError(
                    f'the head of {name!r} is a {type(head).__name__}; it '
                    'must be a HeatmapHead or derive from it'
                )
        self.names = tuple(names)
        self.own_samples_only = own_samples_only
        self.frozen = self._find_frozen(train_only)
        for name in self.frozen:
            self.heads[name].requires_grad_(False)

    def _find_frozen(self, train_only: Sequence[str] | None) -> set[str]:
        if train_only is None:
            return set()
        unknown = set(train_only) - set(self.names)
        if unknown or not train_only:
            raise ValueError(
                f'train_only={list(train_only)} must name one or more of '
                f'{list(self.names)}'
            )
        return set(self.names) - set(train_only)

    def train(self, mode: bool = True) -> 'MultiDatasetHead':
        """Set the mode; frozen heads stay in evaluation mode."""
        super().train(mode)
        for name in self.frozen:
            self.heads[name].eval()
        return self

    def forward(self, feats: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the heat maps of every head, each (B, K, h, w), by name."""
        return {name: head(feats) for name, head in self.heads.items()}

    def read_dataset_idx(self, samples: Sequence[PoseDataSample]) -> list[int]:
        """Return the dataset of each sample.

        Raises:
            ValueError: If a sample does not say or there is no such head.
        """
        dataset_idx = []
        for sample in samples:
            idx = sample.metainfo.get('dataset_idx')
            if idx is None:
                raise ValueError(
                    'a sample has no dataset_idx in its metainfo; take it '
                    'from MultiDataset, in training and in test, or split '
                    'off the model of one dataset (gtpt-mm split)'
                )
            if not 0 <= idx < len(self.names):
                raise ValueError(
                    f'a sample has dataset_idx={idx}; there are heads for '
                    f'{list(self.names)}, counted from 0'
                )
            dataset_idx.append(int(idx))
        return dataset_idx

    def loss(
        self,
        feats: tuple[Tensor, ...],
        batch_data_samples: list[PoseDataSample],
        train_cfg: ConfigType = {},  # noqa: B006  (as in the base class)
    ) -> dict[str, Tensor]:
        """Return ``{name}/loss_kpt`` and ``{name}/acc_pose`` of the heads.

        Args:
            feats: Features of the backbone, of B samples.
            batch_data_samples: Targets, each with the K of its dataset.
            train_cfg: ``compute_acc=False`` leaves out the accuracies; those
                of datasets without samples are left out anyway.

        Returns:
            Losses that add up to the total, and accuracies in [0, 1].

        Raises:
            ValueError: If several processes train and a head has norms that
                wait for all of them.
        """
        self._check_norms()
        dataset_idx = self.read_dataset_idx(batch_data_samples)
        losses = {}
        for k, (name, head) in enumerate(self.heads.items()):
            own = _places(dataset_idx, k)
            if name in self.frozen:
                if own:
                    raise ValueError(
                        f'{len(own)} training samples are of {name!r}, whose '
                        'head is frozen; leave its dataset out'
                    )
                continue
            if not own:
                losses[f'{name}/loss_kpt'] = self._lose_nothing(head, feats)
                continue
            maps = self._run(head, feats, own)  # (n, K, h, w)
            samples = [batch_data_samples[i] for i in own]
            target, weights = _stack_targets(samples, maps, name)
            loss = head.loss_module(maps, target, weights)
            losses[f'{name}/loss_kpt'] = loss * (len(own) / len(dataset_idx))
            if train_cfg.get('compute_acc', True):
                losses[f'{name}/acc_pose'] = _measure(maps, target, weights)
        return losses

    def _run(
        self, head: nn.Module, feats: tuple[Tensor, ...], own: list[int]
    ) -> Tensor:
        """Return the maps of one dataset's samples."""
        if self.own_samples_only:
            return head(_take(feats, own))
        return _take((head(feats),), own)[0]

    def _check_norms(self) -> None:
        """Refuse what would wait for ever: not every process runs a head."""
        if get_world_size() == 1:
            return
        for name, head in self.heads.items():
            if name in self.frozen:
                continue
            for path, module in head.named_modules():
                if 'SyncBatchNorm' in type(module).__name__:
                    raise ValueError(
                        f'{path!r} of the head of {name!r} is a '
                        f'{type(module).__name__}, in {get_world_size()} '
                        'processes: those whose batch lacks the dataset do '
                        'not run it forward and backward, so the others would '
                        'wait for ever. Leave sync_bn out of the config'
                    )

    def _lose_nothing(
        self, head: nn.Module, feats: tuple[Tensor, ...]
    ) -> Tensor:
        """Return zero, with a gradient of zero in every parameter.

        In distributed training each process must have a gradient of every
        parameter, but the backward pass through the head may be spared. Its
        norms see the batch all the same, as in the authors' code.
        """
        if not self.own_samples_only:
            with torch.no_grad():
                head(feats)
        return sum(
            parameter.flatten()[:0].sum()
            for parameter in head.parameters()
            if parameter.requires_grad
        )

    def predict(
        self,
        feats: Features,
        batch_data_samples: list[PoseDataSample],
        test_cfg: ConfigType = {},  # noqa: B006  (as in the base class)
    ) -> Predictions:
        """Return the poses of a batch, each by the head of its dataset.

        Args:
            feats: Features, of the images or of these and the flipped ones.
            batch_data_samples: Samples; they tell dataset and flip indices.
            test_cfg: As of ``HeatmapHead``; ``datasets`` in it has options
                for one of them: ``dict(aic=dict(shift_heatmap=True))``.

        Returns:
            As ``HeatmapHead``; number of keypoints by sample.
        """
        dataset_idx = self.read_dataset_idx(batch_data_samples)
        poses = [None] * len(dataset_idx)
        fields = [None] * len(dataset_idx)
        for k, (name, head) in enumerate(self.heads.items()):
            own = _places(dataset_idx, k)
            if not own:
                continue
            options = {
                **test_cfg,
                **test_cfg.get('datasets', {}).get(name, {}),
            }
            part = (
                [_take(f, own) for f in feats]
                if isinstance(feats, list)
                else _take(feats, own)
            )
            predicted = head.predict(
                part, [batch_data_samples[i] for i in own], options
            )
            if not isinstance(predicted, tuple):
                predicted = predicted, [None] * len(own)
            for i, pose, field in zip(own, *predicted, strict=True):
                poses[i], fields[i] = pose, field
        return (poses, fields) if test_cfg.get('output_heatmaps') else poses


def _places(dataset_idx: list[int], k: int) -> list[int]:
    """Return where in the batch the samples of dataset k are."""
    return [i for i, idx in enumerate(dataset_idx) if idx == k]


def _take(feats: tuple[Tensor, ...], own: list[int]) -> tuple[Tensor, ...]:
    """Return some samples of features; all of them without a copy."""
    if len(own) == len(feats[0]):
        return feats
    index = torch.tensor(own, device=feats[0].device)
    return tuple(level[index] for level in feats)


def _measure(maps: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the share of keypoints whose peak is near that of the target."""
    _, accuracy, _ = pose_pck_accuracy(
        to_numpy(maps.float()), to_numpy(target), to_numpy(weights) > 0
    )
    return torch.tensor(accuracy, device=maps.device)


def _stack_targets(
    samples: list[PoseDataSample], maps: Tensor, name: str
) -> tuple[Tensor, Tensor]:
    """Return target maps (n, K, h, w) and keypoint weights (n, K)."""
    for sample in samples:
        shape = sample.gt_fields.heatmaps.shape
        if shape != maps.shape[1:]:
            raise ValueError(
                f'targets of {name!r} are {tuple(shape)}, its head makes '
                f'{tuple(maps.shape[1:])}: (K, h, w); its pipeline needs the '
                'codec of its head, and the head as many out_channels as the '
                'dataset has keypoints'
            )
    target = torch.stack([s.gt_fields.heatmaps for s in samples])
    weights = torch.cat(
        [s.gt_instance_labels.keypoint_weights for s in samples]
    )
    return target, weights

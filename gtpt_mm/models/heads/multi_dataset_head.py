"""A head for each of several datasets."""

# B batch, n samples of one dataset, K keypoints, C channels, (h, w) map

from collections.abc import Iterator, Sequence

import torch
from mmengine.dist import get_world_size
from mmengine.model import ModuleDict
from mmpose.models.heads import HeatmapHead
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import (
    ConfigType,
    Features,
    OptConfigType,
    Predictions,
)
from torch import Tensor, nn

from gtpt_mm.layers.autocast import is_autocast_on
from gtpt_mm.layers.deconv_moments import has_moments, norm_of_batch
from gtpt_mm.models.losses.heatmap_losses import heatmap_losses


@MODELS.register_module()
class MultiDatasetHead(BaseHead):
    """Heatmaps of several datasets, with one head for each.

    Each head has its own number of keypoints, codec and test options. Samples
    come grouped by dataset. The loss of dataset k is

        loss_k = n_k / B * (mean loss of its n_k samples)

    and the total is the plain sum, so that every sample counts once, whatever
    its number of keypoints.

    Source: the official code of "ViTPose++" (Xu et al.); the paper only says
    that each task has its own decoder.

    Args:
        names: Names of the datasets, in the order of ``dataset_idx``. (A
            written config has the keys of ``heads`` in alphabetical order.)
        heads: Config of the head of each dataset, by name; it overrides
            ``shared``.
        shared: Common options of all heads, such as ``in_channels``.
        own_samples_only: Whether a head runs on the n_k samples of its
            dataset only, which costs less. By default each head runs on the
            whole batch, as in the official code: its BatchNorms then take
            their statistics from all datasets, although at test time they see
            only one. True does not reproduce the official numbers. By default,
            only what these statistics need is computed for the other datasets.
        init_cfg: Initialisation, see mmengine; each head has its own.

    Raises:
        ValueError: If ``names`` and ``heads`` differ, or a head is not a
            ``HeatmapHead``.

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

    def get_parts(self) -> dict[str, list[nn.Module | nn.Parameter]]:
        """Return the heads by name, the parts that ``FreezeHook`` can name."""
        return {name: [head] for name, head in self.heads.items()}

    def forward(self, feats: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the heatmaps of every head, each (B, K, h, w), by name."""
        return {name: head(feats) for name, head in self.heads.items()}

    def train_forward(
        self, feats: tuple[Tensor, ...], counts: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """Return the heatmaps from which the loss is computed.

        Args:
            feats: Features of B samples, grouped by dataset.
            counts: Samples n of each dataset, numbers that add up to B.

        Returns:
            Heatmaps of each head for the samples of its dataset,
            (n, K, h, w), by name. BatchNorms see the whole batch unless
            ``own_samples_only``.
        """
        return {
            name: self._train_forward(head, feats, group)
            for name, head, group in self._groups(counts)
        }

    def _train_forward(
        self, head: HeatmapHead, feats: tuple[Tensor, ...], group: slice
    ) -> Tensor:
        if self.own_samples_only:
            return head(_take(feats, group))
        return _run_for_group(head, feats, group)

    def _groups(
        self, counts: tuple[int, ...]
    ) -> Iterator[tuple[str, HeatmapHead, slice]]:
        """Yield the name, the head and the samples of each dataset."""
        start = 0
        for (name, head), n in zip(self.heads.items(), counts, strict=True):
            yield name, head, slice(start, start + n)
            start += n

    def loss(
        self,
        feats: tuple[Tensor, ...],
        batch_data_samples: list[PoseDataSample],
        counts: tuple[int, ...],
        train_cfg: ConfigType = {},  # noqa: B006  (as in the base class)
    ) -> dict[str, Tensor]:
        """Return ``{name}/loss_kpt`` and ``{name}/acc_pose`` of the heads.

        Args:
            feats: Features of B samples, grouped by dataset.
            batch_data_samples: Targets in the same order, each with the K of
                its dataset.
            counts: Samples of each dataset, numbers that add up to B.
            train_cfg: ``compute_acc=False`` leaves out the accuracies.

        Returns:
            Losses of all trained heads, which add up to the total; and
            accuracies in [0, 1] of the datasets with samples.

        Raises:
            ValueError: If samples belong to a frozen head or their targets do
                not fit the head, or if several processes train a head with
                SyncBatchNorm.
        """
        losses = {}
        for name, head, group in self._groups(counts):
            count = group.stop - group.start
            if not any(p.requires_grad for p in head.parameters()):
                if count:
                    raise ValueError(
                        f'{count} training samples belong to {name!r}, but '
                        'its head is frozen; leave the dataset out'
                    )
                continue
            _check_norms(name, head)
            if not count:
                losses[f'{name}/loss_kpt'] = self._zero_loss(head, feats)
                continue
            maps = self._train_forward(head, feats, group)
            samples = batch_data_samples[group]
            try:
                part = heatmap_losses(head, maps, samples, train_cfg)
            except ValueError as error:
                raise ValueError(f'dataset {name!r}: {error}') from error
            part['loss_kpt'] = part['loss_kpt'] * (count / sum(counts))
            losses |= {f'{name}/{key}': v for key, v in part.items()}
        return losses

    def _zero_loss(self, head: nn.Module, feats: tuple[Tensor, ...]) -> Tensor:
        """Return zero, with a gradient of zero in every parameter.

        DDP needs a gradient for every parameter on every rank, but not the
        backward pass through the head. Its norms see the batch, as in the
        official code.
        """
        if not self.own_samples_only:
            with torch.no_grad():
                _run_for_group(head, feats, slice(0, 0))
        trained = [p for p in head.parameters() if p.requires_grad]
        return torch.cat([p.flatten()[:0] for p in trained]).sum()

    def predict(
        self,
        feats: Features,
        batch_data_samples: list[PoseDataSample],
        counts: tuple[int, ...],
        test_cfg: ConfigType = {},  # noqa: B006  (as in the base class)
    ) -> Predictions:
        """Return the poses of a batch, each by the head of its dataset.

        Args:
            feats: Features of B images grouped by dataset, or a list of
                these and those of the flipped images.
            batch_data_samples: Samples with their flip indices.
            counts: Samples of each dataset, numbers that add up to B.
            test_cfg: As for ``HeatmapHead``; ``datasets`` in it has options
                for one of them: ``dict(aic=dict(shift_heatmap=True))``.

        Returns:
            As ``HeatmapHead``; the number of keypoints differs by sample.
        """
        poses: list = []
        fields: list = []
        for name, head, group in self._groups(counts):
            if group.start == group.stop:
                continue
            options = test_cfg.get('datasets', {}).get(name, {})
            part = (
                [_take(f, group) for f in feats]
                if isinstance(feats, list)
                else _take(feats, group)
            )
            predicted = head.predict(
                part, batch_data_samples[group], {**test_cfg, **options}
            )
            if test_cfg.get('output_heatmaps'):
                predicted, maps = predicted
                fields.extend(maps)
            poses.extend(predicted)
        return (poses, fields) if fields else poses


def _take(feats: tuple[Tensor, ...], group: slice) -> tuple[Tensor, ...]:
    return tuple(level[group] for level in feats)


def _run_for_group(
    head: HeatmapHead, feats: tuple[Tensor, ...], group: slice
) -> Tensor:
    """Return ``head(feats)[group]``, without the other samples' maps.

    Gradients and the statistics of the norms equal those of the whole batch.
    """
    layers = list(getattr(head.deconv_layers, 'children', tuple)())
    is_plain = (
        type(head).forward is HeatmapHead.forward
        and isinstance(head.conv_layers, nn.Identity)
        and len(layers) >= 3
        and has_moments(*layers[-3:-1])
    )
    if not is_plain or group == slice(0, len(feats[-1])):
        return head(feats)[group]
    *first, deconv, norm, act = layers
    x = feats[-1]
    for layer in first:
        x = layer(x)
    if _costs_less(x, group):
        rest = torch.cat((x[: group.start], x[group.stop :]))
        x = norm_of_batch(deconv(x[group]), rest, deconv, norm)
    else:
        x = norm(deconv(x))[group]
    return head.final_layer(act(x))


def _costs_less(x: Tensor, group: slice) -> bool:
    """Return whether sums of products cost less than the outputs.

    In units of C_in^2 per pixel, a sixteenth of the products of the output,
    the sums need 13 instead of 48, and 120 times C_in^3 for the weights. Under
    autocast the products of the outputs run in half precision.
    """
    if is_autocast_on(x.device.type):
        return False
    num_others = len(x) - (group.stop - group.start)
    return num_others * x.shape[2] * x.shape[3] > 4 * x.shape[1]


def _check_norms(name: str, head: nn.Module) -> None:
    """Raise if several processes train a head with SyncBatchNorm.

    Processes without samples of its dataset skip the backward pass of the
    head, so the others would wait for them forever.
    """
    if get_world_size() == 1:
        return
    for path, module in head.named_modules():
        if 'SyncBatchNorm' in type(module).__name__:
            raise ValueError(
                f'{path!r} of the head of {name!r} is a '
                f'{type(module).__name__}, in {get_world_size()} processes: '
                'those without samples of the dataset do not run it '
                'backward, so the others would never return. Leave sync_bn '
                'out of the config'
            )

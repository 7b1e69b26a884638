"""Head of GTPT: keypoint tokens to SimCC distributions."""

# B batch, K keypoints, C channels, W bins

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.structures import PixelData
from mmpose.evaluation.functional import keypoint_pck_accuracy
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_vectors
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import Features, InstanceList, OptSampleList
from torch import Tensor, nn


@MODELS.register_module()
class GTPTHead(BaseHead):
    """Classify each keypoint token into horizontal and vertical bins.

    A LayerNorm and one linear layer for each axis, shared by all keypoints.

    Source: Wang et al., "GTPT", ECCV 2024, Sec. 3.4; SimCC (Li et al., 2022).

    Args:
        in_channels: Channels C of the keypoint tokens.
        out_channels: Number of keypoints K; checked against the tokens.
        decoder: Codec; it decodes, and defines the number of bins.
        loss: Loss for one or two passes.
        init_cfg: Initialisation, see mmengine.

    Attributes:
        supervised: Keypoints in the loss, None for all; see
            :meth:`supervise`.

    Raises:
        ValueError: If the tokens do not have K rows or C channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        decoder: dict,
        loss: dict | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.decoder = KEYPOINT_CODECS.build(decoder)
        self.loss_module = MODELS.build(
            loss or dict(type='GlobalPerceivedLoss')
        )
        num_x, num_y = (
            round(length * self.decoder.simcc_split_ratio)
            for length in self.decoder.input_size
        )
        self.norm_x = nn.LayerNorm(in_channels)
        self.fc_x = nn.Linear(in_channels, num_x)
        self.norm_y = nn.LayerNorm(in_channels)
        self.fc_y = nn.Linear(in_channels, num_y)
        self.supervised: list[int] | None = None

    def supervise(self, keypoints: Sequence[int] | None) -> None:
        """Choose the keypoints in the loss; predictions keep all.

        The losses and the accuracy are then averages over these keypoints, and
        the loss computes no logits of others.

        Args:
            keypoints: Indices in 0..K-1, or None for all keypoints.

        Raises:
            ValueError: If there is no index, or one occurs twice or is not in
                0..K-1.
        """
        if keypoints is None:
            self.supervised = None
            return
        keypoints = [int(index) for index in keypoints]
        wrong = set(keypoints) - set(range(self.out_channels))
        if not keypoints or wrong or len(set(keypoints)) < len(keypoints):
            raise ValueError(
                'supervised keypoints must be different indices in '
                f'0..{self.out_channels - 1}, at least one, got {keypoints}'
            )
        self.supervised = keypoints

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return the logits of the pruned pass.

        Args:
            feats: Keypoint tokens, (B, K, C), one tensor for each pass; the
                first is read.

        Returns:
            Logits over horizontal bins, (B, K, Wx), and vertical ones,
            (B, K, Wy).
        """
        self._check(feats[0])
        return self._classify(feats[0])

    def _check(self, tokens: Tensor) -> None:
        if tokens.shape[1:] != (self.out_channels, self.in_channels):
            raise ValueError(
                f'GTPTHead(out_channels={self.out_channels}, in_channels='
                f'{self.in_channels}) got tokens of shape '
                f'{tuple(tokens.shape)}; set them to the number of keypoints '
                "and the embed_dims of the backbone's arch"
            )

    def _check_targets(
        self, target: tuple[Tensor, Tensor], weights: Tensor
    ) -> None:
        made = [
            (self.out_channels, layer.out_features)
            for layer in (self.fc_x, self.fc_y)
        ]
        given = [tuple(axis.shape[1:]) for axis in target]
        if given != made or weights.shape[1] != self.out_channels:
            raise ValueError(
                f'GTPTHead predicts (K, bins) = {made[0]} for x and {made[1]} '
                f'for y, the targets are {given[0]} and {given[1]}, the '
                f'weights of {weights.shape[1]} keypoints; give the decoder '
                'of the head and the encoder of GenerateTarget the same '
                'input_size and simcc_split_ratio, and the head as many '
                'out_channels as the dataset has keypoints'
            )

    def _classify(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.fc_x(self.norm_x(tokens)), self.fc_y(self.norm_y(tokens))

    def predict(
        self,
        feats: Features,
        batch_data_samples: OptSampleList,
        test_cfg: dict | None = None,
    ) -> InstanceList | tuple[InstanceList, list[PixelData]]:
        """Return keypoints in input pixels, with scores.

        Args:
            feats: Tokens as in :meth:`forward`; with ``flip_test`` a list of
                two, for the images and the flipped images.
            batch_data_samples: Data samples; ``flip_indices`` is read.
            test_cfg: ``flip_test``; ``shift_heatmap``, whether flipped x
                logits are moved by r - 1 bins for r bins a pixel, which
                aligns them exactly, since bin r (W - 1 - x) mirrored is bin
                r x + r - 1 (default True); ``output_heatmaps``.

        Returns:
            Predicted instances; with ``output_heatmaps`` also the products
            of the two distributions as heatmaps, (K, Wy, Wx).
        """
        test_cfg = test_cfg or {}
        if test_cfg.get('flip_test', False):
            shift = round(self.decoder.simcc_split_ratio) - 1
            x, y = self.forward(feats[0])
            x_flip, y_flip = flip_vectors(
                *self.forward(feats[1]),
                flip_indices=batch_data_samples[0].metainfo['flip_indices'],
            )
            if shift > 0 and test_cfg.get('shift_heatmap', True):
                last = x_flip[..., -1:].expand(-1, -1, shift)
                x_flip = torch.cat((x_flip[..., shift:], last), dim=-1)
            x, y = (x + x_flip) * 0.5, (y + y_flip) * 0.5
        else:
            x, y = self.forward(feats)
        x, y = x.float().softmax(dim=-1), y.float().softmax(dim=-1)
        preds = self.decode((x, y))
        if not test_cfg.get('output_heatmaps', False):
            return preds
        for pred, labels_x, labels_y in zip(
            preds, to_numpy(x), to_numpy(y), strict=True
        ):
            pred.keypoint_x_labels = labels_x[None]
            pred.keypoint_y_labels = labels_y[None]
        heatmaps = y.unsqueeze(3) * x.unsqueeze(2)
        return preds, [PixelData(heatmaps=h) for h in heatmaps.detach()]

    def loss(
        self,
        feats: tuple[Tensor, ...],
        batch_data_samples: OptSampleList,
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses of the passes in ``feats`` and the accuracy.

        Both are averages over the ``supervised`` keypoints.

        Raises:
            ValueError: If the targets have other keypoints or bins.
        """
        labels = [d.gt_instance_labels for d in batch_data_samples]
        target = (
            torch.cat([d.keypoint_x_labels for d in labels]),
            torch.cat([d.keypoint_y_labels for d in labels]),
        )
        weights = torch.cat([d.keypoint_weights for d in labels])
        # All passes at once: fewer, larger products.
        tokens = torch.cat(feats)
        self._check(tokens)
        self._check_targets(target, weights)
        if self.supervised is not None:
            tokens = tokens[:, self.supervised]
            target = (
                target[0][:, self.supervised],
                target[1][:, self.supervised],
            )
            weights = weights[:, self.supervised]
        x, y = self._classify(tokens)
        passes = list(
            zip(x.chunk(len(feats)), y.chunk(len(feats)), strict=True)
        )
        full = passes[1] if len(passes) > 1 else None
        losses = self.loss_module(passes[0], full, target, weights)
        losses['acc_pose'] = self._accuracy(passes[0], target, weights)
        return losses

    @torch.no_grad()
    def _accuracy(
        self,
        pred: tuple[Tensor, Tensor],
        target: tuple[Tensor, Tensor],
        weights: Tensor,
    ) -> Tensor:
        """Return the share of keypoints within 5 % of the input size."""
        points = [
            torch.stack((x.argmax(-1), y.argmax(-1)), dim=-1)
            for x, y in (pred, target)
        ]
        num_x, num_y = target[0].shape[-1], target[1].shape[-1]
        _, accuracy, _ = keypoint_pck_accuracy(
            *(to_numpy(p).astype(np.float32) for p in points),
            mask=to_numpy(weights) > 0,
            thr=0.05,
            norm_factor=np.tile([[num_x, num_y]], (len(weights), 1)),
        )
        return weights.new_tensor(accuracy)

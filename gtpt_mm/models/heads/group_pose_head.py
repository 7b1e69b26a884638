"""Head of Group Pose: feature maps to scored poses, without boxes."""

# S stages of the loss (decoder layers, encoder), B batch, N instances,
# K keypoints, G instances of an image, V tokens of all levels, C channels,
# (h, w) map of a level

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmpose.evaluation.functional import nms_torch
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import InstanceList, OptSampleList, SampleList
from torch import Tensor, nn

from gtpt_mm.codecs.group_pose_label import PERSON, GroupPoseLabel
from gtpt_mm.compat.data.metainfo import parse_metainfo
from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.deform_encoder import DeformableEncoder
from gtpt_mm.layers.instance_attention import QueryAttention
from gtpt_mm.layers.token_maps import TokenMaps, spatial_shape
from gtpt_mm.layers.transfer import send
from gtpt_mm.models.losses.group_pose_criterion import GroupPoseCriterion

from .group_pose_queries import (
    CLASS_BIAS,
    PoseProposer,
    Proposals,
    ProposalSelector,
    zero_last_layer,
)

#: Temperature of the position embedding of the maps.
TEMPERATURE = 20
#: Sizes in a data sample, and who sets them.
SIZES = dict(
    batch_input_shape="the data preprocessor, type='PoseDataPreprocessor'",
    img_shape='PackPoseInputs by its meta_keys',
    input_size='GroupPoseResize, and PackPoseInputs by its meta_keys',
)


@MODELS.register_module()
class GroupPoseHead(BaseHead):
    """Detect instances and their keypoints as one set of queries.

    A deformable encoder mixes the levels; each token is scored and the best N
    predict a first pose; a decoder with group self-attentions refines the
    poses and scores them. No boxes, no heatmaps, no grouping, no NMS.

    Use it in a ``BottomupPoseEstimator``, after a ``ChannelMapper``. It reads
    from the data samples:

    - ``metainfo``: ``img_shape``, size (h, w) of the image without padding;
      ``batch_input_shape``, (h, w) with padding, which mmpose's data
      preprocessor sets; prediction also reads ``input_size``, which must be
      ``img_shape`` as (w, h). Images lie at the top left.
    - For the loss, ``gt_instance_labels`` as encoded by ``GroupPoseLabel``.
      Instances without a labelled keypoint only train the score.

    Source: Liu et al., "Group Pose: A Simple Baseline for End-to-End
    Multi-person Pose Estimation", ICCV 2023.

    Args:
        metainfo: Dataset that defines the keypoints, as a file or as a dict
            for ``parse_pose_metainfo``; K and the sigmas are read. mmpose's
            own files are found as ``configs/_base_/datasets/NAME.py`` from any
            folder.
        embed_dims: Channels C of the maps, tokens and queries.
        num_levels: Number of maps.
        num_queries: N, the largest number of instances in an image.
        num_heads: Heads of all attentions.
        num_points: Points of the deformable attentions per head and level.
        impl: See ``DeformableAttention``.
        encoder: More arguments of ``DeformableEncoder``.
        decoder: More arguments of ``GroupPoseDecoder``, or the ``type`` and
            the arguments of a subclass.
        loss_weights: Arguments of ``GroupPoseCriterion``: weights of the
            losses, and of the same costs in the matching.
        misaligned_enc_loss: Whether the loss of the encoder compares the mean
            of the keypoints with keypoint 0, keypoint 0 with keypoint 1 and
            so on. The official code did until September 2023, hence also when
            the released weights were trained; no effect on predictions.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If the file of ``metainfo`` does not exist, the number of
            maps is not ``num_levels`` or their channels are not C, or a data
            sample lacks a field.
    """

    def __init__(
        self,
        metainfo: str | dict,
        embed_dims: int = 256,
        num_levels: int = 4,
        num_queries: int = 100,
        num_heads: int = 8,
        num_points: int = 4,
        impl: str = 'auto',
        encoder: dict | None = None,
        decoder: dict | None = None,
        loss_weights: dict | None = None,
        misaligned_enc_loss: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        metainfo = parse_metainfo(metainfo)
        if not len(metainfo['sigmas']):
            raise ValueError(
                f'the metainfo {metainfo["dataset_name"]!r} has no sigmas; '
                'the loss of Group Pose needs one for each keypoint'
            )
        self.num_keypoints = metainfo['num_keypoints']
        self.embed_dims = embed_dims
        self.num_levels = num_levels
        self.misaligned_enc_loss = misaligned_enc_loss
        self.codec = GroupPoseLabel()  # it has no settings
        self.criterion = GroupPoseCriterion(
            metainfo['sigmas'], **(loss_weights or {})
        )
        attention = dict(
            num_heads=num_heads,
            num_levels=num_levels,
            num_points=num_points,
            impl=impl,
        )
        self.level_embed = nn.Parameter(torch.zeros(num_levels, embed_dims))
        self.encoder = DeformableEncoder(
            embed_dims, attention=attention, **(encoder or {})
        )
        self.selector = ProposalSelector(embed_dims, num_queries)
        self.proposer = PoseProposer(embed_dims, self.num_keypoints)
        self.decoder = MODELS.build(
            dict(
                type='GroupPoseDecoder',
                embed_dims=embed_dims,
                num_keypoints=self.num_keypoints,
                attention=attention,
            )
            | (decoder or {})
        )

    def init_weights(self) -> None:
        """Initialise as the official code.

        All matrices get Xavier, except those of scores and offsets, which keep
        PyTorch's initialisation; the first poses have all keypoints at the
        proposal.
        """
        super().init_weights()
        nn.init.normal_(self.level_embed)
        init_transformer(
            self.encoder,
            self.selector.fc,
            self.decoder.queries,
            self.decoder.layers,
            self.decoder.pos_mlp,
        )
        self.decoder.init_weights()
        nn.init.constant_(self.selector.fc_cls.bias, CLASS_BIAS)
        zero_last_layer(self.proposer.mlp)

    def forward(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: OptSampleList = None,
    ) -> tuple[Tensor, Tensor]:
        """Return class scores and keypoints of the last layer.

        Args:
            feats: Maps, (B, C, h, w) each, finest first.
            batch_data_samples: Data samples; without them, as for export,
                no image is padded.

        Returns:
            Class scores before the sigmoid, (B, N, 2), of which 1 is a
            person; and keypoints, (B, N, K, 2), in units of the image
            without padding.
        """
        logits, keypoints, *_ = self.forward_stages(feats, batch_data_samples)
        return logits[-1], keypoints[-1]

    def forward_stages(
        self,
        feats: Sequence[Tensor],
        samples: OptSampleList,
        all_layers: bool = False,
    ) -> tuple[Tensor, Tensor, Proposals, Tensor]:
        """Return the results of the decoder, then of the encoder.

        Scores, (S, B, N, 2), and keypoints, (S, B, N, K, 2), of the last
        layer or of all; proposals with their scores; keypoints of the
        proposals, (B, N, K, 2).
        """
        return self.run_stages(feats, self.lay_out(feats, samples), all_layers)

    def run_stages(
        self,
        feats: Sequence[Tensor],
        maps: TokenMaps,
        all_layers: bool = False,
    ) -> tuple[Tensor, Tensor, Proposals, Tensor]:
        """Return the results of :meth:`forward_stages` for flat tokens."""
        x = torch.cat([f.flatten(2).transpose(1, 2) for f in feats], dim=1)
        pos = maps.embed_positions(self.level_embed, TEMPERATURE)
        memory = self.encoder(x, pos, maps)  # (B, V, C)
        proposals = self.propose(memory, maps)
        points = self.proposer(proposals)
        logits, keypoints = self.decoder(
            proposals.content, points, memory, maps, all_layers
        )
        return logits, keypoints, proposals, points

    def propose(self, memory: Tensor, maps: TokenMaps) -> Proposals:
        """Return the proposals for which poses are predicted."""
        return self.selector(memory, maps)

    def lay_out(
        self, feats: Sequence[Tensor], samples: OptSampleList
    ) -> TokenMaps:
        """Return the layout of the tokens of all maps."""
        channels = [feat.shape[1] for feat in feats]
        if channels != [self.embed_dims] * self.num_levels:
            raise ValueError(
                f'GroupPoseHead(num_levels={self.num_levels}, embed_dims='
                f'{self.embed_dims}) got maps of {channels} channels; set '
                'num_outs and out_channels of the neck to them'
            )
        shapes = [spatial_shape(feat) for feat in feats]
        device = feats[0].device
        if samples is not None:
            padded_size = _read_size(samples[0], 'batch_input_shape')
            sizes = [_read_size(sample, 'img_shape') for sample in samples]
            if any(size != padded_size for size in sizes):
                masks = _mask_padding(sizes, padded_size, shapes, device)
                return TokenMaps.with_padding(masks)
        return TokenMaps.without_padding(shapes, device)

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses of all decoder layers and of the encoder.

        ``loss_*`` of the last layer, ``d0.loss_*`` and so on of the others,
        ``enc_loss_*`` of the encoder.
        """
        targets = self.read_targets(batch_data_samples)
        stages = self.forward_stages(
            feats, batch_data_samples, all_layers=True
        )
        return self.compute_losses(targets, *stages)

    def compute_losses(
        self,
        targets: Sequence[InstanceData],
        logits: Tensor,
        keypoints: Tensor,
        proposals: Proposals,
        points: Tensor,
    ) -> dict[str, Tensor]:
        """Return the named losses of the results of :meth:`forward_stages`."""
        if self.misaligned_enc_loss:
            mean = points.mean(2, keepdim=True)
            points = torch.cat((mean, points[:, :, :-1]), dim=2)
        losses = self.criterion(
            torch.cat((logits, proposals.logits[None].to(logits))),
            torch.cat((keypoints, points[None].to(keypoints))),
            targets,
        )
        return name_stages(losses)

    def read_targets(self, samples: SampleList) -> list[InstanceData]:
        """Return the targets of each image.

        Raises:
            ValueError: If they are missing or have other keypoints.
        """
        targets = []
        for sample in samples:
            labels = sample.get('gt_instance_labels', InstanceData())
            missing = set(GroupPoseLabel.label_mapping_table.values())
            missing -= set(labels.keys())
            if missing:
                raise ValueError(
                    f'a data sample has no {sorted(missing)} in '
                    'gt_instance_labels; train with a pipeline that has '
                    "dict(type='GenerateTarget', encoder=dict("
                    "type='GroupPoseLabel'))"
                )
            if labels.keypoints.shape[1:] != (self.num_keypoints, 2):
                raise ValueError(
                    f'keypoints must be (G, {self.num_keypoints}, 2) as in '
                    f'metainfo, got {tuple(labels.keypoints.shape)}'
                )
            targets.append(labels)
        return targets

    def predict(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: SampleList,
        test_cfg: dict | None = None,
    ) -> InstanceList:
        """Return poses in pixels of the network's input, best first.

        The official code takes the best 50 of all 2 N class scores and drops
        those of the unused background class; we take the best 50 instances.
        The results differ by the poses dropped there.

        Args:
            feats: As in :meth:`forward`.
            batch_data_samples: Data samples; see the class.
            test_cfg: ``num_select``, how many poses are kept (default 50);
                ``score_thr``, the score that poses must exceed (default 0,
                all of them); ``nms_thr``, IoU of two boxes around keypoints
                above which the worse pose is dropped (default None: no NMS,
                as the paper). ``flip_test`` must not be set.

        Returns:
            For each image ``keypoints``, (n, K, 2); ``keypoint_scores``, the
            score of the pose for each of its keypoints; ``bbox_scores``;
            ``bboxes``, the extent of the keypoints, (x1, y1, x2, y2).

        Raises:
            ValueError: If ``flip_test`` is set or the sizes in a data sample
                contradict each other.
        """
        test_cfg = test_cfg or {}
        if test_cfg.get('flip_test'):
            raise ValueError(
                'GroupPoseHead has no flip_test: queries of an image and its '
                'mirror image do not correspond; set flip_test=False'
            )
        logits, keypoints = self.forward(feats, batch_data_samples)
        scores = logits[..., PERSON].float().sigmoid()  # (B, N)
        # Stable, unlike topk: equal scores keep the order of the queries.
        scores, indices = scores.sort(dim=1, descending=True, stable=True)
        num = test_cfg.get('num_select', 50)
        scores, indices = scores[:, :num], indices[:, :num, None, None]
        indices = indices.expand(-1, -1, *keypoints.shape[2:])
        keypoints = keypoints.float().gather(1, indices)
        arrays = to_numpy(
            torch.cat((keypoints.flatten(2), scores[..., None]), -1)
        )
        return [
            self._pack_poses(row[:, :-1], row[:, -1], sample, test_cfg)
            for row, sample in zip(arrays, batch_data_samples, strict=True)
        ]

    def _pack_poses(
        self,
        points: np.ndarray,
        scores: np.ndarray,
        sample: PoseDataSample,
        test_cfg: dict,
    ) -> InstanceData:
        img_shape = _read_size(sample, 'img_shape')
        input_size = _read_size(sample, 'input_size')
        if input_size != img_shape[::-1]:
            raise ValueError(
                f'input_size={input_size} (w, h) contradicts img_shape='
                f'{img_shape} (h, w); the transform that resizes the image '
                'must set both'
            )
        points = points.reshape(-1, self.num_keypoints, 2)
        points, keypoint_scores = self.codec.decode(points, scores, img_shape)
        poses = InstanceData(
            keypoints=points,
            keypoint_scores=keypoint_scores,
            bboxes=np.concatenate((points.min(1), points.max(1)), axis=1),
            bbox_scores=scores,
        )
        poses = poses[scores > test_cfg.get('score_thr', 0.0)]
        # nms_torch fails without boxes.
        if test_cfg.get('nms_thr') is not None and len(poses):
            poses = poses[
                nms_torch(
                    torch.from_numpy(poses.bboxes),
                    torch.from_numpy(poses.bbox_scores),
                    test_cfg['nms_thr'],
                )
            ]
        return poses


def init_transformer(*modules: nn.Module) -> None:
    """Initialise matrices by Xavier; attentions initialise themselves."""
    for module in modules:
        for parameter in module.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for part in module.modules():
            if isinstance(part, DeformableAttention | QueryAttention):
                part.init_weights()


def name_stages(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name the losses of layers and encoder, (S,) each, as in mmdet."""
    num_stages = len(losses['loss_cls'])
    prefixes = [f'd{i}.' for i in range(num_stages - 2)] + ['', 'enc_']
    return {
        f'{prefix}{name}': loss
        for name, stages in losses.items()
        for prefix, loss in zip(prefixes, stages, strict=True)
    }


def _read_size(sample: PoseDataSample, name: str) -> tuple[int, int]:
    if name not in sample.metainfo:
        raise ValueError(
            f'a data sample has no {name}, which is set by {SIZES[name]}'
        )
    first, second = sample.metainfo[name][:2]
    return first, second


def _mask_padding(
    sizes: Sequence[tuple[int, int]],
    padded_size: tuple[int, int],
    shapes: Sequence[tuple[int, int]],
    device: torch.device,
) -> list[Tensor]:
    """Return masks, (B, h, w) each, True at padding, of images (h, w)."""
    ends = send(torch.tensor(sizes), device)
    y = torch.arange(padded_size[0], device=device) >= ends[:, :1]
    x = torch.arange(padded_size[1], device=device) >= ends[:, 1:]
    mask = (y[:, :, None] | x[:, None]).float()[:, None]  # (B, 1, ...)
    return [F.interpolate(mask, size=shape)[:, 0].bool() for shape in shapes]

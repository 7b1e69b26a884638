"""Head of Group Pose: feature maps to scored poses, without boxes."""

# H heads of the loss (decoder layers, encoder), B batch, N instances,
# K keypoints, G people of an image, V tokens of all levels, C channels,
# (h, w) map of a level

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmpose.evaluation.functional import nms_torch
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.heads.transformer_heads.transformers import (
    PositionEmbeddingSineHW,
)
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import InstanceList, OptSampleList, SampleList
from torch import Tensor, nn

from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.deform_encoder import DeformableEncoder, TokenMaps
from gtpt_mm.layers.instance_attention import QueryAttention
from gtpt_mm.layers.pos_embed import sine_pos_embed
from gtpt_mm.layers.transfer import send
from gtpt_mm.models.losses.group_pose_criterion import (
    GroupPoseCriterion,
    HumanCriterion,
)
from gtpt_mm.models.losses.set_criterion import PERSON

from .group_pose_decoder import GroupPoseDecoder
from .group_pose_queries import CLASS_BIAS, PoseProposer, ProposalSelector
from .group_pose_samples import (
    find_areas,
    parse_metainfo,
    read_instances,
    read_size,
)
from .human_decoder import HumanDecoder, Humans

#: Of the position embedding of the maps.
TEMPERATURE = 20


@MODELS.register_module()
class GroupPoseHead(BaseHead):
    """Detect people and their keypoints as one set of queries.

    A deformable encoder mixes the levels; each token is scored and the best N
    predict a first pose; a decoder with group self-attentions refines the
    poses and scores them. No boxes, no heatmaps, no grouping, no NMS.

    Use it in a ``BottomupPoseEstimator`` behind a ``ChannelMapper``.

    What it reads of the data samples, in pixels of the network's input:

    - ``metainfo``: ``img_shape``, size (h, w) of the image without padding;
      ``batch_input_shape``, (h, w) with padding, which mmpose's data
      preprocessor sets; to predict also ``input_size``, which must be
      ``img_shape`` as (w, h). Images lie at the top left.
    - For the loss, ``gt_instances``: ``keypoints``, (G, K, 2), and
      ``keypoints_visible``, (G, K), labelled where above 0, both of the
      network's input and not of the file. People without a labelled keypoint
      only teach the score.
    - For the loss, ``areas``, (G,), in ``gt_instance_labels`` or
      ``gt_instances``: area of each person in square pixels, for OKS.
    - For the loss with a ``human_decoder``: ``gt_instances.bboxes``, (G, 4),
      corners (x1, y1, x2, y2).

    Source: Liu et al., "Group Pose: A Simple Baseline for End-to-End
    Multi-person Pose Estimation", ICCV 2023.

    Args:
        metainfo: Dataset that the keypoints are of, as a file or as a dict
            that ``parse_pose_metainfo`` takes; K and the sigmas are read.
            mmpose's own are ``configs/_base_/datasets/NAME.py`` in any folder.
        embed_dims: Channels C of the maps and of everything else.
        num_levels: Number of maps.
        num_queries: N, the most people that an image may show.
        num_heads: Heads of all attentions.
        num_points: Points of the deformable attentions per head and level.
        impl: See ``DeformableAttention``.
        encoder: More arguments of ``DeformableEncoder``.
        decoder: More arguments of ``GroupPoseDecoder``.
        human_decoder: More arguments of ``HumanDecoder`` for the variant that
            detects boxes before poses (Table 5), else None.
        loss_weights: Arguments of ``GroupPoseCriterion``: weights of the
            losses, and of the same costs in the matching.
        misaligned_enc_loss: Whether the loss of the encoder compares the mean
            of the keypoints with keypoint 0, keypoint 0 with keypoint 1 and
            so on. The authors' code did until September 2023, hence also when
            the released weights were trained; no effect on predictions.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If the file of ``metainfo`` does not exist, maps have not
            C channels or are not ``num_levels``, or a data sample lacks what
            is read of it.
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
        human_decoder: dict | None = None,
        loss_weights: dict | None = None,
        misaligned_enc_loss: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        metainfo = parse_metainfo(metainfo)
        self.num_keypoints = metainfo['num_keypoints']
        self.embed_dims = embed_dims
        self.num_levels = num_levels
        self.misaligned_enc_loss = misaligned_enc_loss
        self.criterion = GroupPoseCriterion(
            metainfo['sigmas'], **(loss_weights or {})
        )
        attention = dict(
            num_heads=num_heads,
            num_levels=num_levels,
            num_points=num_points,
            impl=impl,
        )
        self.position = PositionEmbeddingSineHW(
            embed_dims // 2, TEMPERATURE, TEMPERATURE, normalize=True
        )
        self.level_embed = nn.Parameter(torch.zeros(num_levels, embed_dims))
        self.encoder = DeformableEncoder(
            embed_dims, **attention, **(encoder or {})
        )
        self.human_decoder, num_selected = None, num_queries
        if human_decoder is not None:
            self.human_decoder = HumanDecoder(
                embed_dims, num_queries, **attention, **human_decoder
            )
            self.human_criterion = HumanCriterion()
            num_selected = self.human_decoder.num_humans
        self.selector = ProposalSelector(embed_dims, num_selected)
        self.proposer = PoseProposer(embed_dims, self.num_keypoints)
        self.decoder = GroupPoseDecoder(
            embed_dims, self.num_keypoints, **attention, **(decoder or {})
        )

    def init_weights(self) -> None:
        """Initialise as the authors.

        Xavier for all matrices but those that score and move, which keep
        PyTorch's; the first poses have all keypoints at the proposal.
        """
        super().init_weights()
        nn.init.normal_(self.level_embed)
        modules = [self.encoder, self.selector.fc, self.decoder.queries]
        for decoder in filter(None, (self.decoder, self.human_decoder)):
            modules += [decoder.layers, decoder.pos_mlp]
        for module in modules:
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.init_weights()
            elif isinstance(module, QueryAttention):
                nn.init.zeros_(module.qkv.bias)
                nn.init.zeros_(module.proj.bias)
        for decoder in filter(None, (self.decoder, self.human_decoder)):
            decoder.init_weights()
        nn.init.constant_(self.selector.fc_cls.bias, CLASS_BIAS)
        nn.init.zeros_(self.proposer.mlp.layers[-1].weight)
        nn.init.zeros_(self.proposer.mlp.layers[-1].bias)

    def fold_for_inference(self, chunk_size: int | None = None) -> None:
        """Fuse linear layers of one input, in place; then it cannot train.

        Args:
            chunk_size: Ignored; tokens pass in chunks of a fixed number.
        """
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.fuse()

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
        logits, keypoints, *_ = self._run(feats, batch_data_samples)
        return logits[-1], keypoints[-1]

    def _run(
        self,
        feats: Sequence[Tensor],
        samples: OptSampleList,
        all_layers: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Humans | None]:
        """Return scores and keypoints of the decoder, then of the encoder.

        (H, B, N, 2), (H, B, N, K, 2), (B, N, 2) and (B, N, K, 2); and the
        boxes of the variant.
        """
        self._check_maps(feats)
        masks = self._find_padding(feats, samples)
        if masks is None:
            # Whole numbers in a trace for export, too.
            shapes = [tuple(map(int, feat.shape[2:])) for feat in feats]
            maps = TokenMaps.without_padding(shapes, feats[0].device)
        else:
            maps = TokenMaps.with_padding(masks)
        x = torch.cat([f.flatten(2).transpose(1, 2) for f in feats], dim=1)
        pos = self._embed_positions(maps, masks)
        memory = self.encoder(x, pos, maps)  # (B, V, C)
        proposals = self.selector(memory, maps)
        humans, features = None, proposals.features.detach()
        if self.human_decoder is not None:
            humans = self.human_decoder(proposals, memory, maps)
            proposals = humans.proposals
            features = proposals.features
        points = self.proposer(proposals.features, proposals.centers)
        logits, keypoints = self.decoder(
            features, points, memory, maps, all_layers
        )
        return logits, keypoints, proposals.logits, points, humans

    def _check_maps(self, feats: Sequence[Tensor]) -> None:
        channels = [feat.shape[1] for feat in feats]
        if channels != [self.embed_dims] * self.num_levels:
            raise ValueError(
                f'GroupPoseHead(num_levels={self.num_levels}, embed_dims='
                f'{self.embed_dims}) got maps of {channels} channels; set '
                'num_outs and out_channels of the neck to them'
            )

    def _find_padding(
        self, feats: Sequence[Tensor], samples: OptSampleList
    ) -> list[Tensor] | None:
        """Return masks, (B, h, w) each, True at padding; None without any."""
        if samples is None:
            return None
        whole = read_size(samples[0], 'batch_input_shape')
        sizes = [read_size(sample, 'img_shape') for sample in samples]
        if all(size == whole for size in sizes):
            return None
        device = feats[0].device
        sizes = send(torch.tensor(sizes), device)
        y = torch.arange(whole[0], device=device) >= sizes[:, :1]
        x = torch.arange(whole[1], device=device) >= sizes[:, 1:]
        mask = (y[:, :, None] | x[:, None]).float()[:, None]  # (B, 1, ...)
        return [
            F.interpolate(mask, size=feat.shape[2:])[:, 0].bool()
            for feat in feats
        ]

    def _embed_positions(
        self, maps: TokenMaps, masks: list[Tensor] | None
    ) -> Tensor:
        """Return positions with the level's embedding, (B or 1, V, C).

        In the type of the weights, as the tokens that they are added to.
        """
        if masks is None:
            tables = [
                sine_pos_embed(
                    shape, self.embed_dims, TEMPERATURE, maps.centers.device
                )[None]
                for shape in maps.shapes
            ]
        else:
            tables = [
                self.position(mask).flatten(2).transpose(1, 2)
                for mask in masks
            ]
        return torch.cat(
            [
                table.to(level) + level
                for table, level in zip(tables, self.level_embed, strict=True)
            ],
            dim=1,
        )

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses of all decoder layers and of the encoder.

        ``loss_*`` of the last layer, ``d0.loss_*`` and so on of the others,
        ``enc_loss_*`` of the encoder; of boxes with ``human_`` before.
        """
        logits, keypoints, enc_logits, enc_points, humans = self._run(
            feats, batch_data_samples, all_layers=True
        )
        if self.misaligned_enc_loss:
            mean = enc_points.mean(2, keepdim=True)
            enc_points = torch.cat((mean, enc_points[:, :, :-1]), dim=2)
        people = self._read_people(batch_data_samples, logits.device)
        losses = self.criterion(
            torch.cat((logits, enc_logits[None].to(logits))),
            torch.cat((keypoints, enc_points[None].to(keypoints))),
            people,
        )
        named = _name_heads(losses)
        if humans is not None:
            losses = self.human_criterion(humans.logits, humans.boxes, people)
            for name, loss in _name_heads(losses).items():
                named[f'human_{name}'] = loss
        return named

    def _read_people(
        self, samples: SampleList, device: torch.device
    ) -> list[InstanceData]:
        """Return the people of each image, in units of its size and area."""
        numbers = [self._pack_people(sample) for sample in samples]
        counts = [len(own) for own in numbers]
        packed = send(torch.from_numpy(np.concatenate(numbers)), device)
        num = self.num_keypoints
        people = []
        for own, sample in zip(packed.split(counts), samples, strict=True):
            points, visible, boxes = own.split((2 * num, num, 4), dim=1)
            height, width = read_size(sample, 'img_shape')
            # The data preprocessor already put them on the device.
            areas = send(torch.as_tensor(find_areas(sample)), device)
            if len(areas) != len(own):
                raise ValueError(
                    f'{len(own)} people of an image have {len(areas)} areas'
                )
            people.append(
                InstanceData(
                    keypoints=points.unflatten(1, (num, 2)),
                    keypoints_visible=visible,
                    bboxes=boxes,
                    areas=areas.to(own) / (width * height),
                    labels=own.new_full((len(own),), PERSON, dtype=torch.long),
                )
            )
        return people

    def _pack_people(self, sample: PoseDataSample) -> np.ndarray:
        """Return one row for each person, float32, for one copy of all."""
        height, width = read_size(sample, 'img_shape')
        points = read_instances(sample, 'keypoints') / (width, height)
        if points.shape[1:] != (self.num_keypoints, 2):
            raise ValueError(
                f'gt_instances.keypoints must be (G, {self.num_keypoints}, 2)'
                f' as metainfo tells, got {points.shape}'
            )
        visible = read_instances(sample, 'keypoints_visible') > 0
        flat = points.reshape(len(points), 2 * self.num_keypoints)
        boxes = np.zeros((len(points), 4))
        if self.human_decoder is not None:
            size = (width, height, width, height)
            boxes = read_instances(sample, 'bboxes') / size
        row = (flat, visible, boxes)
        return np.concatenate(row, axis=1).astype(np.float32)

    def predict(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: SampleList,
        test_cfg: dict | None = None,
    ) -> InstanceList:
        """Return poses in pixels of the network's input, best first.

        The authors take the best 50 of all 2 N class scores and drop those
        of the class that nobody is of; we take the best 50 people. The
        difference is in poses that they drop.

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
        scores, best = scores.sort(dim=1, descending=True, stable=True)
        num = test_cfg.get('num_select', 50)
        scores, best = scores[:, :num], best[:, :num]
        best = best[:, :, None, None].expand(-1, -1, *keypoints.shape[2:])
        keypoints = keypoints.float().gather(1, best)
        arrays = to_numpy(
            torch.cat((keypoints.flatten(2), scores[..., None]), -1)
        )
        return [
            self._pack_poses(own[:, :-1], own[:, -1], sample, test_cfg)
            for own, sample in zip(arrays, batch_data_samples, strict=True)
        ]

    def _pack_poses(
        self,
        points: np.ndarray,
        scores: np.ndarray,
        sample: PoseDataSample,
        test_cfg: dict,
    ) -> InstanceData:
        height, width = read_size(sample, 'img_shape')
        input_size = read_size(sample, 'input_size')
        if input_size != (width, height):
            raise ValueError(
                f'input_size={input_size} (w, h) contradicts img_shape='
                f'{(height, width)} (h, w); the transform that resizes the '
                'image must set both'
            )
        keep = scores > test_cfg.get('score_thr', 0.0)
        points = points[keep].reshape(-1, self.num_keypoints, 2)
        points = points * np.array([width, height], np.float32)
        boxes = np.concatenate((points.min(1), points.max(1)), axis=1)
        scores = scores[keep]
        # nms_torch fails if there is nobody.
        if test_cfg.get('nms_thr') is not None and len(scores):
            kept = nms_torch(
                torch.from_numpy(boxes),
                torch.from_numpy(scores),
                test_cfg['nms_thr'],
            )
            kept = kept.numpy()
            points, boxes, scores = points[kept], boxes[kept], scores[kept]
        return InstanceData(
            keypoints=points,
            keypoint_scores=scores[:, None].repeat(self.num_keypoints, axis=1),
            bboxes=boxes,
            bbox_scores=scores,
        )


def _name_heads(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name the losses of layers and encoder, (H,) each, as mmdet."""
    num_heads = len(losses['loss_cls'])
    prefixes = [f'd{i}.' for i in range(num_heads - 2)] + ['', 'enc_']
    return {
        f'{prefix}{name}': loss
        for name, of_heads in losses.items()
        for prefix, loss in zip(prefixes, of_heads, strict=True)
    }

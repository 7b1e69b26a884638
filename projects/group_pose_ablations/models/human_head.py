"""Group Pose with a human detection decoder: head and losses of boxes."""

# M matches, G instances of an image

from collections.abc import Sequence

from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from torch import Tensor
from torchvision.ops import box_convert

from gtpt_mm.layers.token_maps import TokenMaps
from gtpt_mm.models import GroupPoseHead
from gtpt_mm.models.heads.group_pose_head import init_transformer, name_stages
from gtpt_mm.models.heads.group_pose_queries import Proposals
from gtpt_mm.models.losses.set_criterion import SetCriterion

from .human_decoder import HumanDecoder, HumanProposals


class HumanCriterion(SetCriterion):
    """Score, L1 and GIoU loss of boxes, as in DETR.

    Reads ``bboxes``, (G, 4): corners (x1, y1, x2, y2) in units of the image.

    Source: the weights of ED-Pose (Yang et al., ICLR 2023), which Group Pose
    follows for its variant with boxes. mmdet's costs and loss of boxes copy a
    few constants to the device and wait for it.

    Args:
        cls_weight: Weight of the focal loss.
        box_weight: Weight of the L1 loss of (cx, cy, w, h).
        giou_weight: Weight of 1 - GIoU.
    """

    field = 'bboxes'

    def __init__(
        self,
        cls_weight: float = 2.0,
        box_weight: float = 5.0,
        giou_weight: float = 2.0,
    ) -> None:
        super().__init__(
            cls_weight,
            [
                dict(
                    type='mmdet.BBoxL1Cost',
                    box_format='xywh',
                    weight=box_weight,
                ),
                dict(type='mmdet.IoUCost', weight=giou_weight),
            ],
        )
        self.box_weight = box_weight
        self.loss_giou = MODELS.build(
            dict(
                type='mmdet.GIoULoss',
                reduction='none',
                loss_weight=giou_weight,
            )
        )

    def compare(
        self, values: Tensor, instances: InstanceData
    ) -> dict[str, Tensor]:
        """Compare corners of boxes, (M, 4)."""
        pred, target = (
            box_convert(boxes, 'xyxy', 'cxcywh')
            for boxes in (values, instances.bboxes)
        )
        return dict(
            loss_bbox=(pred - target).abs().sum(-1) * self.box_weight,
            loss_giou=self.loss_giou(values, instances.bboxes),
        )


@MODELS.register_module()
class HumanGroupPoseHead(GroupPoseHead):
    """Detect boxes of humans before poses (Table 5).

    The losses of boxes have the names of those of poses, prefixed with
    ``human_``.

    Args:
        metainfo: As the next nine arguments, see ``GroupPoseHead``.
        embed_dims: See there.
        num_levels: See there.
        num_queries: See there.
        num_heads: See there.
        num_points: See there.
        impl: See there.
        encoder: See there.
        decoder: See there.
        loss_weights: See there.
        human_decoder: More arguments of ``HumanDecoder``.
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
        human_decoder: dict | None = None,
    ) -> None:
        attention = dict(
            num_heads=num_heads,
            num_levels=num_levels,
            num_points=num_points,
            impl=impl,
        )
        super().__init__(
            metainfo,
            embed_dims,
            num_queries=num_queries,
            encoder=encoder,
            decoder=decoder,
            loss_weights=loss_weights,
            **attention,
        )
        self.human_decoder = HumanDecoder(
            embed_dims, num_queries, attention, **(human_decoder or {})
        )
        self.selector.num_queries = self.human_decoder.num_humans
        self.human_criterion = HumanCriterion()

    def init_weights(self) -> None:
        """Initialise as ``GroupPoseHead``."""
        super().init_weights()
        init_transformer(self.human_decoder.layers, self.human_decoder.pos_mlp)
        self.human_decoder.init_weights()

    def propose(self, memory: Tensor, maps: TokenMaps) -> Proposals:
        """Return the humans that get a pose."""
        candidates = super().propose(memory, maps)
        return self.human_decoder(candidates, memory, maps)

    def compute_losses(
        self,
        targets: Sequence[InstanceData],
        logits: Tensor,
        keypoints: Tensor,
        proposals: HumanProposals,
        points: Tensor,
    ) -> dict[str, Tensor]:
        """Return the losses of poses and of boxes; see the base class."""
        losses = super().compute_losses(
            targets, logits, keypoints, proposals, points
        )
        boxes = self.human_criterion(
            proposals.stage_logits, proposals.stage_boxes, targets
        )
        named = name_stages(boxes)
        return losses | {f'human_{k}': loss for k, loss in named.items()}

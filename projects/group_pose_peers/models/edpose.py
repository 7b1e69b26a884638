"""ED-Pose of mmpose, to be timed beside Group Pose."""

# B batch, N people, K keypoints, (h, w) input in pixels

from unittest import mock

import mmcv.ops.multi_scale_deform_attn as operator
from mmpose.models import BottomupPoseEstimator
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn


@MODELS.register_module()
class TimedEDPose(BottomupPoseEstimator):
    """mmpose's ``EDPoseHead`` in an estimator that answers ``mode='tensor'``.

    All modules are mmpose's. Its head asks for data samples, which that mode
    has not: here each says that its image is not padded. Decoding of the N
    poses, which a benchmark leaves out of every model, is left out.

    Weights are those of the constructors. mmpose's ``init_weights`` of the
    head fails, and only there the level embedding gets values; so it gets
    them here.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        head: Config of the head.
        stock_operator: Whether deformable attention on a CPU is mmcv's own
            ``grid_sample``, or by rows, as ``gtpt_mm.compat`` makes it.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        stock_operator: bool = True,
    ) -> None:
        super().__init__(backbone, neck, head)
        self.stock_operator = stock_operator
        nn.init.normal_(self.head.level_embed)

    def _forward(
        self, inputs: Tensor, data_samples: None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores, (B, N, 2), boxes, (B, N, 4), and keypoints.

        Keypoints, (B, N, 3 K): all (x, y), then all visibilities.
        """
        shape = tuple(inputs.shape[2:])
        sample = PoseDataSample(
            metainfo=dict(batch_input_shape=shape, img_shape=shape)
        )
        function = operator.multi_scale_deformable_attn_pytorch
        if self.stock_operator:
            function = getattr(function, '__wrapped__', function)
        with mock.patch.object(
            operator, 'multi_scale_deformable_attn_pytorch', function
        ):
            feats = self.extract_feat(inputs)
            return self.head(feats, [sample] * len(inputs))

"""ED-Pose of mmpose, for timing comparisons with Group Pose."""

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

    All modules are mmpose's. Its head requires data samples, which this mode
    does not get: here they state that the images are not padded. Decoding of
    the N poses is left out, as in the benchmark of every model.

    Weights are those of the constructors. mmpose's ``init_weights`` of the
    head fails, and it alone initializes the level embedding; this class does
    that instead.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        head: Config of the head.
        stock_operator: Whether deformable attention on a CPU uses mmcv's own
            ``grid_sample``, or gathers rows, as with ``gtpt_mm.compat``.
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

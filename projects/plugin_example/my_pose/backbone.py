"""A backbone of strided convolutions."""

# B batch, C channels, (h, w) feature map

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class PooledConvs(BaseModule):
    """Strided convolutions, then means over the cells of a coarse grid.

    Args:
        channels: Channels C of each stage; a stage halves the size.
        grid_size: Cells (h, w) of the output.
        init_cfg: Initialization, see mmengine.

    Raises:
        ValueError: If there is no stage.

    Example:
        >>> import torch
        >>> [x] = PooledConvs((8, 16), grid_size=(4, 3))(
        ...     torch.rand(2, 3, 64, 48))
        >>> x.shape
        torch.Size([2, 16, 4, 3])
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64),
        grid_size: tuple[int, int] = (6, 4),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not channels:
            raise ValueError(f'channels needs a stage, got {channels!r}')
        self.stages = nn.ModuleList(
            ConvModule(
                inputs, outputs, 3, stride=2, padding=1,
                norm_cfg=dict(type='BN'),
            )
            for inputs, outputs in zip((3, *channels), channels, strict=False)
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(grid_size)

    def forward(self, img: Tensor) -> tuple[Tensor]:
        """Return the features of images, ((B, C, h, w),)."""
        x = img
        for stage in self.stages:
            x = stage(x)
        return (self.pool(x),)

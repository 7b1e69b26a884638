"""The pyramid of sandwich blocks that EfficientViT and HEViTPose share."""

# B batch, C channels, (H, W) image

from collections.abc import Callable, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from gtpt_mm.layers.arch import check_lengths
from gtpt_mm.layers.patch_embed import OverlapPatchEmbed
from gtpt_mm.layers.sandwich import SandwichBlock, Subsample


class SandwichPyramid(BaseModule):
    """Patch embedding and stages of sandwich blocks, each half as large.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels of each stage.
        depths: Blocks of each stage.
        make_mixers: For each stage a function that returns a new token mixer.
        patch_embed: Arguments of ``OverlapPatchEmbed`` except the channels;
            None: its defaults.
        mlp_ratio: Channels within a feed-forward unit over those outside.
        out_indices: Stages whose maps are returned, in this order; negative
            ones count from the last.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If the stages do not fit each other, or a stage in
            ``out_indices`` does not exist.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: Sequence[int],
        depths: Sequence[int],
        make_mixers: Sequence[Callable[[], nn.Module]],
        patch_embed: dict | None,
        mlp_ratio: float,
        out_indices: Sequence[int],
        init_cfg: dict | list | None,
    ) -> None:
        super().__init__(init_cfg)
        check_lengths(embed_dims=embed_dims, depths=depths)
        num_stages = len(embed_dims)
        if not out_indices or not all(
            -num_stages <= i < num_stages for i in out_indices
        ):
            raise ValueError(
                f'out_indices must be stages from 0 to {num_stages - 1}, at '
                f'least one, got {tuple(out_indices)}'
            )
        self.embed_dims = tuple(embed_dims)
        self.out_indices = tuple(i % num_stages for i in out_indices)
        self.patch_embed = OverlapPatchEmbed(
            in_channels, embed_dims[0], **(patch_embed or {})
        )
        self.stages = nn.ModuleList()
        for i, depth in enumerate(depths):
            stage = nn.Sequential()
            if i > 0:
                stage.append(
                    Subsample(embed_dims[i - 1], embed_dims[i], mlp_ratio)
                )
            for _ in range(depth):
                stage.append(
                    SandwichBlock(embed_dims[i], make_mixers[i], mlp_ratio)
                )
            self.stages.append(stage)

    def forward(self, img: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the chosen stages.

        Args:
            img: Images, (B, 3, H, W), of any size.

        Returns:
            Maps (B, C, H / s, W / s), rounded up, channels-last in memory;
            s is the stride of the patch embedding, twice that of the second
            stage, and so on.
        """
        # Pointwise convolutions and attention then read tokens without a copy.
        x = img.contiguous(memory_format=torch.channels_last)
        x = self.patch_embed(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[i] for i in self.out_indices)

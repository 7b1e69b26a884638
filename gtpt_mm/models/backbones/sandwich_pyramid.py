"""The pyramid of sandwich blocks that EfficientViT and HEViTPose share."""

# B batch, C channels, (H, W) image

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from gtpt_mm.layers.legacy_export import refuse_legacy_export
from gtpt_mm.layers.patch_embed import OverlapPatchEmbed
from gtpt_mm.layers.sandwich import SandwichBlock, Subsample


class Stage(NamedTuple):
    """Channels, number of blocks, and a function that returns a new mixer."""

    embed_dims: int
    depth: int
    make_mixer: Callable[[], nn.Module]


class SandwichPyramid(BaseModule):
    """Patch embedding and stages of sandwich blocks; each halves the map.

    Args:
        in_channels: Channels of the image.
        stages: The stages, in order.
        patch_embed: Arguments of ``OverlapPatchEmbed`` except the channels;
            None: its defaults.
        mlp_ratio: Channels within a feed-forward unit over those outside.
        out_indices: Stages whose maps are returned, in this order; negative
            ones count from the last.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If ``out_indices`` is empty, or a stage in it does not
            exist.
    """

    def __init__(
        self,
        in_channels: int,
        stages: Sequence[Stage],
        patch_embed: dict | None,
        mlp_ratio: float,
        out_indices: Sequence[int],
        init_cfg: dict | list | None,
    ) -> None:
        super().__init__(init_cfg)
        num_stages = len(stages)
        if not out_indices or not all(
            -num_stages <= i < num_stages for i in out_indices
        ):
            raise ValueError(
                f'out_indices must be stages from 0 to {num_stages - 1}, at '
                f'least one, got {tuple(out_indices)}'
            )
        self.embed_dims = tuple(stage.embed_dims for stage in stages)
        self.out_indices = tuple(i % num_stages for i in out_indices)
        self.patch_embed = OverlapPatchEmbed(
            in_channels, self.embed_dims[0], **(patch_embed or {})
        )
        self.stages = nn.ModuleList()
        previous = None
        for width, depth, make_mixer in stages:
            blocks = nn.Sequential()
            if previous is not None:
                blocks.append(Subsample(previous, width, mlp_ratio))
            for _ in range(depth):
                blocks.append(SandwichBlock(width, make_mixer, mlp_ratio))
            self.stages.append(blocks)
            previous = width

    def forward(self, img: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the chosen stages.

        Args:
            img: Images, (B, 3, H, W), of any size.

        Returns:
            Maps (B, C, H / s, W / s), rounded up, channels-last in memory;
            s is the stride of the patch embedding, twice that of the second
            stage, and so on.
        """
        refuse_legacy_export(type(self).__name__)
        # Pointwise convolutions and attention then read tokens without a copy.
        x = img.contiguous(memory_format=torch.channels_last)
        x = self.patch_embed(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[i] for i in self.out_indices)

"""EfficientViT, and the pyramid of sandwich blocks that it is made of."""

# B batch, C channels, (H, W) image

from collections.abc import Callable, Sequence
from functools import partial

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

from gtpt_mm.layers.arch import check_lengths, read_arch
from gtpt_mm.layers.cascaded_window_attention import CascadedWindowAttention
from gtpt_mm.layers.folded_sandwich import fold_sandwich
from gtpt_mm.layers.patch_embed import OverlapPatchEmbed
from gtpt_mm.layers.sandwich import SandwichBlock, Subsample


class SandwichPyramid(BaseModule):
    """Patch embedding and stages of sandwich blocks, each half as large.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels of each stage.
        depths: Blocks of each stage.
        make_mixers: For each stage what returns a new token mixer.
        patch_embed: Arguments of ``OverlapPatchEmbed`` but the channels.
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
        num_stages = len(embed_dims)
        if len(depths) != num_stages:
            raise ValueError(
                f'embed_dims {tuple(embed_dims)} and depths {tuple(depths)} '
                'must have one number for each stage'
            )
        if not out_indices or not all(
            -num_stages <= i < num_stages for i in out_indices
        ):
            raise ValueError(
                f'out_indices must be stages from 0 to {num_stages - 1}, at '
                f'least one, got {tuple(out_indices)}'
            )
        self.embed_dims = tuple(embed_dims)
        self.chunk_size = None
        self.out_indices = tuple(i % num_stages for i in out_indices)
        self.patch_embed = OverlapPatchEmbed(
            in_channels, embed_dims[0], **(patch_embed or {})
        )
        self.stages = nn.ModuleList()
        for i, depth in enumerate(depths):
            blocks = [
                SandwichBlock(embed_dims[i], make_mixers[i], mlp_ratio)
                for _ in range(depth)
            ]
            if i > 0:
                blocks.insert(
                    0, Subsample(*embed_dims[i - 1 : i + 1], mlp_ratio)
                )
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, img: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the chosen stages.

        Args:
            img: Images, (B, 3, H, W), of any size.

        Returns:
            Maps (B, C, H / s, W / s), rounded up, channels-last in memory;
            s is the stride of the patch embedding, twice that of the second
            stage, and so on.
        """
        if (
            self.chunk_size
            and img.device.type == 'cpu'
            # A graph would unroll the chunks and be bound to one batch size.
            and not torch.compiler.is_compiling()
        ):
            chunks = [self._forward(x) for x in img.split(self.chunk_size)]
            return tuple(torch.cat(maps) for maps in zip(*chunks, strict=True))
        return self._forward(img)

    def _forward(self, img: Tensor) -> tuple[Tensor, ...]:
        # Pointwise convolutions and attention then read tokens as they lie.
        x = img.contiguous(memory_format=torch.channels_last)
        x = self.patch_embed(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[i] for i in self.out_indices)

    def fold_for_inference(self, chunk_size: int | None = None) -> None:
        """Trade trainability for speed, with equal outputs, in place.

        See ``gtpt_mm.deploy.fuse``.

        Args:
            chunk_size: Images that pass at once on a CPU, so that their maps
                stay in its cache; None passes the whole batch.

        Raises:
            ValueError: If ``chunk_size`` is not positive.
        """
        if chunk_size is not None and chunk_size <= 0:
            raise ValueError(f'chunk_size must be positive, got {chunk_size}')
        self.patch_embed = fold_sandwich(self.patch_embed)
        self.stages = nn.ModuleList(map(fold_sandwich, self.stages))
        self.chunk_size = chunk_size
        self.eval()


@MODELS.register_module()
class EfficientViT(SandwichPyramid):
    """EfficientViT, of three stages, as a backbone for pose estimation.

    The baseline that HEViTPose starts from (its Tables 1, 4 and 6).

    Source: Liu et al., "EfficientViT: Memory Efficient Vision Transformer
    with Cascaded Group Attention", CVPR 2023; the stem as in HEViTPose's
    Table 4, of stride 4 where the original has 16.

    Args:
        arch: ``'m4'``; or a dict with ``embed_dims``, ``depths`` and
            ``num_heads`` of the stages and ``query_kernels`` of the heads.
        in_channels: Channels of the image.
        patch_embed: Arguments of ``OverlapPatchEmbed`` but the channels;
            None: two convolutions of stride 2 and overlap width 1.
        key_dims: Channels of queries and keys of a head.
        window_size: Side of the attention's windows.
        mlp_ratio: Channels within a feed-forward unit over those outside.
        out_indices: See ``SandwichPyramid``.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If ``arch`` is unknown or sizes do not fit each other.

    Example:
        >>> model = EfficientViT('m4').eval()
        >>> [features] = model(torch.rand(1, 3, 64, 64))
        >>> features.shape
        torch.Size([1, 384, 4, 4])
    """

    arch_settings = {
        'm4': dict(
            embed_dims=(128, 256, 384),
            depths=(1, 2, 3),
            num_heads=(4, 4, 4),
            query_kernels=(7, 5, 3, 3),
        )
    }

    def __init__(
        self,
        arch: str | dict = 'm4',
        in_channels: int = 3,
        patch_embed: dict | None = None,
        key_dims: int = 16,
        window_size: int = 7,
        mlp_ratio: float = 2.0,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list | None = None,
    ) -> None:
        settings = read_arch(arch, self.arch_settings)
        check_lengths(
            embed_dims=settings['embed_dims'], num_heads=settings['num_heads']
        )
        if patch_embed is None:
            patch_embed = dict(overlap_width=1, strides=(2, 2))
        make_mixers = [
            partial(
                CascadedWindowAttention,
                width,
                num_heads,
                key_dims,
                window_size,
                settings['query_kernels'][:num_heads],
            )
            for width, num_heads in zip(
                settings['embed_dims'], settings['num_heads'], strict=True
            )
        ]
        super().__init__(
            in_channels,
            settings['embed_dims'],
            settings['depths'],
            make_mixers,
            patch_embed,
            mlp_ratio,
            out_indices,
            init_cfg,
        )

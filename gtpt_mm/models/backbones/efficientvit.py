"""EfficientViT, the baseline that HEViTPose starts from."""

from collections.abc import Sequence
from functools import partial

from mmpose.registry import MODELS

from gtpt_mm.layers.arch import check_lengths, read_arch
from gtpt_mm.layers.cascaded_window_attention import CascadedWindowAttention

from .sandwich_pyramid import SandwichPyramid, Stage


@MODELS.register_module()
class EfficientViT(SandwichPyramid):
    """EfficientViT with three stages, as a backbone for pose estimation.

    Source: Liu et al., "EfficientViT: Memory Efficient Vision Transformer
    with Cascaded Group Attention", CVPR 2023; the stem is that of HEViTPose's
    Table 4, with stride 4 instead of the original 16. It is the baseline of
    HEViTPose's Tables 1, 4 and 6.

    Args:
        arch: ``'m4'``; or a dict with ``embed_dims``, ``depths`` and
            ``num_heads`` of the stages and ``query_kernels`` of the heads.
        in_channels: Channels of the image.
        patch_embed: Arguments of ``OverlapPatchEmbed`` except the channels;
            None: two convolutions of stride 2 and overlap width 1.
        key_dims: Channels of queries and keys of a head.
        window_size: Side of the attention's windows.
        mlp_ratio: Channels within a feed-forward unit over those outside.
        out_indices: See ``SandwichPyramid``.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If ``arch`` is unknown or sizes do not fit each other.

    Example:
        >>> import torch
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
        names = ('embed_dims', 'depths', 'num_heads')
        sizes = {name: settings[name] for name in names}
        check_lengths(**sizes)
        stages = []
        for width, depth, heads in zip(*sizes.values(), strict=True):
            make_mixer = partial(
                CascadedWindowAttention,
                embed_dims=width,
                num_heads=heads,
                key_dims=key_dims,
                window_size=window_size,
                query_kernels=settings['query_kernels'][:heads],
            )
            stages.append(Stage(width, depth, make_mixer))
        if patch_embed is None:
            patch_embed = dict(overlap_width=1, strides=(2, 2))
        super().__init__(
            in_channels, stages, patch_embed, mlp_ratio, out_indices, init_cfg
        )

"""HEViTPose: high-efficiency vision transformer for human pose estimation."""

from collections.abc import Callable, Sequence
from functools import partial

from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.layers.arch import check_lengths, read_arch
from gtpt_mm.layers.cascaded_attention import CGSRMHA

from .sandwich_pyramid import SandwichPyramid, Stage


@MODELS.register_module()
class HEViTPose(SandwichPyramid):
    """EfficientViT with overlapping patches and CGSR-MHA.

    The patch embedding has stride 4 and overlapping patches. Three stages of
    sandwich blocks at strides 4, 8 and 16 follow, with cascaded group
    attention with spatially reduced keys (``CGSRMHA``) as the token mixer.
    There is no position embedding, no window, no dropout and no norm after a
    stage. In the paper the last map feeds a ``HeatmapHead`` with two 4x4
    transposed convolutions of 192 and 96 filters.

    Source: Wu et al., "HEViTPose: High-Efficiency Vision Transformer for
    Human Pose Estimation", arXiv 2311.13615. **A reconstruction**: no code
    was published. Parameters and FLOPs of all models and ablations match the
    numbers printed in the paper. They show that the rows "G" and "L" of Table
    2 are swapped: 1, 2, 3 are the depths. The paper gives attention heads for
    ``'base'`` only; ``'tiny'`` and ``'small'`` are assumed to have the same.

    Args:
        arch: ``'tiny'``, ``'small'`` or ``'base'``; or a dict with
            ``embed_dims``, ``depths`` and ``num_groups`` of the stages.
        in_channels: Channels of the image.
        num_groups: Attention groups of each stage; None: those of ``arch``.
        sr_ratios: Spatial reduction of keys and values in each stage.
        num_heads: Attention heads of one group in each stage.
        patch_embed: Arguments of ``OverlapPatchEmbed`` except the channels;
            None: one convolution of stride 4 and overlap width 3.
        mlp_ratio: Channels within a feed-forward unit over those outside.
        out_indices: Stages whose maps are returned, in this order; negative
            ones count from the last.
        init_cfg: Initialisation, see mmengine. By default convolutions have
            PyTorch's initialisation and residual units start as the identity;
            the paper says only that it trains from scratch.

    Raises:
        ValueError: If ``arch`` is unknown, or sizes do not fit each other.

    Example:
        >>> import torch
        >>> model = HEViTPose('tiny', out_indices=(0, 1, 2)).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 256, 192))]
        [(1, 64, 64, 48), (1, 128, 32, 24), (1, 192, 16, 12)]
    """

    arch_settings = {
        'tiny': dict(
            embed_dims=(64, 128, 192), depths=(1, 2, 3), num_groups=(4, 4, 4)
        ),
        'small': dict(
            embed_dims=(128, 192, 224), depths=(1, 2, 3), num_groups=(4, 3, 2)
        ),
        'base': dict(
            embed_dims=(128, 256, 384), depths=(1, 2, 3), num_groups=(4, 4, 4)
        ),
    }

    #: Class of the token mixers; projects replace it.
    mixer: Callable[..., nn.Module] = CGSRMHA

    def __init__(
        self,
        arch: str | dict = 'base',
        in_channels: int = 3,
        num_groups: Sequence[int] | None = None,
        sr_ratios: Sequence[int] = (8, 4, 2),
        num_heads: Sequence[int] = (2, 4, 8),
        patch_embed: dict | None = None,
        mlp_ratio: float = 2.0,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list | None = None,
    ) -> None:
        settings = read_arch(arch, self.arch_settings)
        if num_groups is None:
            num_groups = settings['num_groups']
        sizes = dict(
            embed_dims=settings['embed_dims'],
            depths=settings['depths'],
            num_groups=num_groups,
            sr_ratios=sr_ratios,
            num_heads=num_heads,
        )
        check_lengths(**sizes)
        stages = []
        for width, depth, groups, ratio, heads in zip(
            *sizes.values(), strict=True
        ):
            make_mixer = partial(
                self.mixer,
                embed_dims=width,
                num_groups=groups,
                sr_ratio=ratio,
                num_heads=heads,
            )
            stages.append(Stage(width, depth, make_mixer))
        super().__init__(
            in_channels, stages, patch_embed, mlp_ratio, out_indices, init_cfg
        )

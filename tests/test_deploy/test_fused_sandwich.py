"""Units of the sandwich layout for inference."""

import pytest
import torch
from torch import nn

from gtpt_mm.deploy.fused_sandwich import fuse_sandwich
from gtpt_mm.layers.cascaded_attention import CGSRMHA
from gtpt_mm.layers.cascaded_window_attention import CascadedWindowAttention
from gtpt_mm.layers.patch_embed import OverlapPatchEmbed
from gtpt_mm.layers.sandwich import SandwichBlock, Subsample
from projects.hevitpose_ablations.models import CGSRMHAVariant


def randomise(module: nn.Module) -> nn.Module:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.2)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.2)
    return module.double().eval()


@pytest.mark.parametrize(
    'make',
    [
        lambda: OverlapPatchEmbed(8, 16),
        lambda: OverlapPatchEmbed(8, 16, 1, (2, 2), with_act=True),
        lambda: OverlapPatchEmbed(8, 16, 7, (8,), with_upsample=True),
        lambda: Subsample(8, 12),
        lambda: SandwichBlock(8, lambda: CGSRMHA(8, 2, 2, 2)),
        lambda: SandwichBlock(
            8, lambda: CGSRMHAVariant(8, 2, 1, 2, proj='relu-conv-bn')
        ),
        lambda: SandwichBlock(
            8, lambda: CascadedWindowAttention(8, 2, 4, 3, (3, 5))
        ),
    ],
    ids=[
        'one-conv', 'two-convs', 'deconv', 'subsample', 'cgsr', 'cgsr-bn',
        'window',
    ],
)  # fmt: skip
@pytest.mark.parametrize('layout', ['contiguous_format', 'channels_last'])
def test_fused_units_agree(make, layout):
    module = randomise(make())
    x = torch.randn(2, 8, 17, 24, dtype=torch.float64)
    x = x.contiguous(memory_format=getattr(torch, layout))
    original = x.clone()
    with torch.no_grad():
        expected = module(x)
        fused = fuse_sandwich(module)
        torch.testing.assert_close(fused(x), expected, rtol=0, atol=1e-11)
    assert torch.equal(x, original)
    assert not [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]

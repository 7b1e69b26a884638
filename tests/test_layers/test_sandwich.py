"""Units of the sandwich layout, and what folding makes of them."""

import pytest
import torch
from torch import nn

from gtpt_mm.layers.cascaded_attention import CGSRMHA
from gtpt_mm.layers.cascaded_window_attention import CascadedWindowAttention
from gtpt_mm.layers.folded_sandwich import fold_sandwich
from gtpt_mm.layers.patch_embed import OverlapPatchEmbed
from gtpt_mm.layers.sandwich import (
    ResidualDWConv,
    ResidualFFN,
    SandwichBlock,
    SqueezeExcite,
    Subsample,
)


def randomise(module: nn.Module) -> nn.Module:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.2)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.2)
    return module.double().eval()


@pytest.mark.parametrize('unit', [ResidualDWConv, ResidualFFN])
def test_residual_units_start_as_the_identity(unit):
    x = torch.randn(2, 8, 6, 5)
    torch.testing.assert_close(unit(8)(x), x, rtol=0, atol=0)


def test_squeeze_excite_gates_by_the_means():
    gate = SqueezeExcite(8).double()
    x = torch.randn(2, 8, 3, 4, dtype=torch.float64)
    means = x.flatten(2).mean(2)
    hidden = (
        means @ gate.reduce.weight.flatten(1).T + gate.reduce.bias
    ).relu()
    scores = hidden @ gate.expand.weight.flatten(1).T + gate.expand.bias
    expected = x / (1 + (-scores).exp())[:, :, None, None]
    torch.testing.assert_close(gate(x), expected)


def test_squeeze_excite_needs_divisible_channels():
    with pytest.raises(ValueError, match='ratio=4 .*channels=6'):
        SqueezeExcite(6)


@pytest.mark.parametrize(
    'make',
    [
        lambda: OverlapPatchEmbed(8, 16),
        lambda: OverlapPatchEmbed(8, 16, 1, (2, 2), with_act=True),
        lambda: OverlapPatchEmbed(8, 16, 7, (8,), with_upsample=True),
        lambda: Subsample(8, 12),
        lambda: SandwichBlock(8, lambda: CGSRMHA(8, 2, 2, 2)),
        lambda: SandwichBlock(
            8, lambda: CGSRMHA(8, 2, 1, 2, proj='relu-conv-bn')
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
def test_folded_modules_agree(make, layout):
    module = randomise(make())
    before = [parameter.clone() for parameter in module.parameters()]
    x = torch.randn(2, 8, 17, 24, dtype=torch.float64)
    x = x.contiguous(memory_format=getattr(torch, layout))
    original = x.clone()
    with torch.no_grad():
        expected = module(x)
        folded = fold_sandwich(module)
        torch.testing.assert_close(folded(x), expected, rtol=0, atol=1e-11)
    assert torch.equal(x, original)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    # The original is left alone.
    for parameter, old in zip(module.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.requires_grad

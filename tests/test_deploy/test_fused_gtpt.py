import pytest
import torch
from torch import nn

from gtpt_mm.deploy.fused_gtpt import fuse_stem
from gtpt_mm.layers.shuffle_stem import (
    PatchEmbed,
    ShuffleStem,
    ShuffleUNetStem,
)


def train_norms(module: nn.Module) -> None:
    """Give norms statistics and weights that matter."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)


@pytest.mark.parametrize(
    'stem', [ShuffleStem(32), ShuffleUNetStem((32, 48, 64))]
)
def test_fused_stem_gives_the_same_map_in_its_order(stem):
    stem = stem.double().eval()
    train_norms(stem)
    embed = PatchEmbed(32, 48, (4, 3)).double().eval()
    train_norms(embed)
    img = torch.randn(2, 3, 64, 48, dtype=torch.float64)
    with torch.no_grad():
        fused = fuse_stem(stem, embed)
        expected, pieces = stem(img), fused[0](img)
        torch.testing.assert_close(fused(img), embed(expected))
    x = torch.cat(pieces, dim=-1).permute(0, 3, 1, 2)
    order = fused[0].order
    assert sorted(order) == list(range(32))
    assert order != list(range(32))
    torch.testing.assert_close(x, expected[:, order])
    norms = [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not norms


def test_fusing_leaves_the_stem_as_it_is():
    stem = ShuffleStem(16).train()
    before = {k: v.clone() for k, v in stem.state_dict().items()}
    fuse_stem(stem, PatchEmbed(16, 8, (4, 3)))
    assert all(module.training for module in stem.modules())
    assert all(p.requires_grad for p in stem.parameters())
    for key, value in stem.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)

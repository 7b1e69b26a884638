"""HEViTPose and EfficientViT as backbones."""

import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.models import EfficientViT, HEViTPose

TINY = dict(embed_dims=(16, 24, 32), depths=(1, 1, 2), num_groups=(2, 3, 4))
SMALL_VIT = dict(
    embed_dims=(16, 24, 32),
    depths=(1, 1, 1),
    num_heads=(2, 2, 2),
    query_kernels=(5, 3),
)


def randomise(model: nn.Module) -> nn.Module:
    """Leave the start, at which residual units are the identity."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
    return model


def hevitpose(**kwargs) -> HEViTPose:
    settings = dict(arch=TINY, num_heads=(2, 2, 4), **kwargs)
    return randomise(MODELS.build(dict(type='HEViTPose', **settings)))


def efficientvit(**kwargs) -> EfficientViT:
    settings = dict(arch=SMALL_VIT, key_dims=4, **kwargs)
    return randomise(MODELS.build(dict(type='EfficientViT', **settings)))


BACKBONES = pytest.mark.parametrize('make', [hevitpose, efficientvit])


@BACKBONES
@pytest.mark.parametrize('size', [(64, 48), (50, 71)], ids=str)
def test_stages_and_their_order(make, size):
    """Strides 4, 8, 16, rounded up; maps in the order asked for."""
    img = torch.randn(2, 3, *size)
    model = make(out_indices=(-1, 0, 1)).eval()
    with torch.no_grad():
        maps = model(img)
    for features, stride, channels in zip(
        maps, (16, 4, 8), (32, 16, 24), strict=True
    ):
        grid = [-(-side // stride) for side in size]
        assert features.shape == (2, channels, *grid)
        assert features.is_contiguous(memory_format=torch.channels_last)
    last = make()
    last.load_state_dict(model.state_dict())
    with torch.no_grad():
        [features] = last.eval()(img)
    torch.testing.assert_close(features, maps[0], rtol=0, atol=0)


@BACKBONES
def test_every_pixel_of_the_output_sees_the_whole_image(make):
    """Attention is global in HEViTPose, and in windows that meet."""
    model = make(out_indices=(0,)).double().eval()
    img = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    changed = img.clone()
    changed[:, :, :4, :4] += 1
    with torch.no_grad():
        difference = (model(img)[0] - model(changed)[0]).abs().amax((0, 1))
    far_corner = difference[-1, -1]
    if make is hevitpose:
        assert far_corner > 0
    else:  # one block: windows of 7 x 7 and two 3x3 convolutions
        assert far_corner == 0


def test_arguments_override_the_arch():
    model = HEViTPose(
        dict(embed_dims=(32, 64), depths=(0, 1), num_groups=(1, 1)),
        num_groups=(2, 4),
        sr_ratios=(4, 1),
        num_heads=(1, 2),
        patch_embed=dict(overlap_width=1, strides=(2, 2)),
        mlp_ratio=3,
    )
    [stage1, stage2] = model.stages
    assert len(stage1) == 0
    mixer = stage2[1].mixer
    assert (mixer.num_groups, mixer.mha.num_heads, mixer.sr) == (4, 2, None)
    assert stage2[1].ffn1.expand[0].out_channels == 3 * 64
    assert len(model.patch_embed) == 3


def test_settings_of_table_2():
    """With the rows G and L swapped back."""
    expected = {
        'tiny': ((64, 128, 192), (4, 4, 4)),
        'small': ((128, 192, 224), (4, 3, 2)),
        'base': ((128, 256, 384), (4, 4, 4)),
    }
    for arch, (channels, groups) in expected.items():
        model = HEViTPose(arch)
        assert model.embed_dims == channels
        blocks = [
            [block for block in stage if hasattr(block, 'mixer')]
            for stage in model.stages
        ]
        assert [len(stage) for stage in blocks] == [1, 2, 3]
        mixers = [stage[0].mixer for stage in blocks]
        assert tuple(m.num_groups for m in mixers) == groups
        assert [m.sr.stride[0] for m in mixers] == [8, 4, 2]


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(arch='huge'), r"arch 'huge'.*'base', 'small', 'tiny'"),
        (dict(arch=dict(depths=(1,))), r"exactly .*'embed_dims'.*'depths'"),
        (dict(num_groups=(4, 4)), r'each stage.*num_groups=\(4, 4\)'),
        (dict(num_heads=(2, 4, 8, 8)), r'num_heads=\(2, 4, 8, 8\)'),
        (dict(num_groups=(4, 5, 4)), r'num_groups .*embed_dims = 256, got 5'),
        (dict(out_indices=(3,)), r'out_indices .*0 to 2.*\(3,\)'),
        (dict(out_indices=()), r'out_indices .*\(\)'),
    ],
)
def test_errors_name_the_value(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HEViTPose(**kwargs)


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(embed_dim=(64, 128, 192)),
        dict(attention=dict(with_bias=True)),
        dict(patch_embed=dict(peow=3)),
    ],
)
def test_misspelt_arguments_fail(kwargs):
    with pytest.raises(TypeError, match='unexpected keyword argument'):
        HEViTPose(**kwargs)


def test_efficientvit_errors_name_the_value():
    with pytest.raises(ValueError, match="arch 'm9'.*'m4'"):
        EfficientViT('m9')
    arch = dict(SMALL_VIT, num_heads=(2, 2))
    with pytest.raises(ValueError, match=r'num_heads=\(2, 2\)'):
        EfficientViT(arch)

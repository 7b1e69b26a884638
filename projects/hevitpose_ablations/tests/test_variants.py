"""The options of projects/hevitpose_ablations."""

import pytest
import torch
from torch import nn

from gtpt_mm.layers.cascaded_attention import CGSRMHA
from projects.hevitpose_ablations.models import (
    CGSRMHAVariant,
    HEViTPoseVariant,
)
from projects.hevitpose_ablations.models.variants import NORMS, PROJECTIONS


def randomise(module: nn.Module) -> nn.Module:
    """Leave the initial values, at which norms and biases do nothing."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.2)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return module.double().eval()


def literal(mixer: CGSRMHAVariant, x: torch.Tensor) -> torch.Tensor:
    """Eqs. 6 to 8 with torch's attention, group by group."""
    height, width = x.shape[2:]
    outputs = []
    passed_on = 0
    for g, group in enumerate(torch.chunk(x, mixer.num_groups, dim=1)):
        group = group + passed_on

        def norm(norms, tokens, g=g):
            return (norms[g] if len(norms) > 1 else norms[0])(tokens)

        query = norm(mixer.norm_query, group.flatten(2).permute(0, 2, 1))
        key = value = query
        if mixer.sr is not None:
            reduced = mixer.sr(group).flatten(2).permute(0, 2, 1)
            key = value = norm(mixer.norm_key, reduced)
            if mixer.norm_value is not None:
                value = norm(mixer.norm_value, reduced)
        attended, _ = mixer.mha(query, key, value, need_weights=False)
        if mixer.with_identity:
            attended = attended + query
        normed = norm(mixer.norm_output, attended)

        def as_map(tokens):
            return tokens.permute(0, 2, 1).reshape(len(x), -1, height, width)

        outputs.append(as_map(normed))
        passed_on = as_map(normed if mixer.cascade_normed else attended)
    return mixer.proj(torch.cat(outputs, dim=1))


@pytest.mark.parametrize('sr_ratio', [1, 2])
@pytest.mark.parametrize(
    'options',
    [
        dict(with_bias=True, proj='relu-conv'),
        dict(norm_query='shared', norm_output='shared', with_bias=True),
        dict(separate_kv_norms=True, proj='conv-bn'),
        dict(norm_query='none', proj='relu-conv-bn'),
        dict(norm_key_value='none', norm_output='none'),
        dict(cascade_normed=False),
        dict(with_identity=True),
        dict(with_identity=True, cascade_normed=False),
    ],
    ids=str,
)
def test_follows_the_equations(options, sr_ratio):
    mixer = randomise(CGSRMHAVariant(24, 3, sr_ratio, 2, **options))
    x = torch.randn(2, 24, 7, 10, dtype=torch.float64)
    with torch.no_grad():
        expected = literal(mixer, x)
        torch.testing.assert_close(mixer(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('sr_ratio', [1, 2])
def test_defaults_are_the_published_attention(sr_ratio):
    mixer = randomise(CGSRMHA(24, 3, sr_ratio, 2))
    variant = CGSRMHAVariant(24, 3, sr_ratio, 2).double().eval()
    variant.load_state_dict(mixer.state_dict())
    x = torch.randn(2, 24, 7, 10, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(variant(x), mixer(x), rtol=0, atol=0)


@pytest.mark.parametrize('choice', NORMS)
def test_norms_count_as_they_should(choice):
    """Of 64 channels in 4 groups: 32 parameters for one norm."""
    one = 2 * 16
    expected = {'group': 4 * one, 'shared': one, 'none': 0}[choice]

    def count(choice):
        mixer = CGSRMHAVariant(64, 4, 2, 2, norm_query=choice)
        return sum(p.numel() for p in mixer.parameters())

    assert count(choice) - count('none') == expected


@pytest.mark.parametrize('proj', PROJECTIONS)
def test_every_parameter_learns(proj):
    mixer = CGSRMHAVariant(
        16, 2, 2, 2, separate_kv_norms=True, with_bias=True, proj=proj
    )
    if proj.endswith('bn'):
        # Zero at first, so that the unit starts as the identity.
        assert not mixer.proj[-1][1].weight.any()
        nn.init.ones_(mixer.proj[-1][1].weight)
    mixer(torch.randn(2, 16, 8, 8)).square().mean().backward()
    for name, parameter in mixer.named_parameters():
        assert parameter.grad is not None, name
        if name != 'mha.in_proj_bias':
            assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(norm_query='batch'), r"norm_query .*'group'.*'batch'"),
        (dict(norm_key_value='x'), r"norm_key_value .*'x'"),
        (dict(proj='linear'), r"proj .*'conv'.*'linear'"),
    ],
)
def test_errors_name_the_value(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CGSRMHAVariant(32, 4, 2, 2, **kwargs)


def test_options_reach_every_mixer():
    arch = dict(embed_dims=(16, 24), depths=(1, 2), num_groups=(2, 3))
    model = HEViTPoseVariant(
        arch,
        sr_ratios=(2, 1),
        num_heads=(2, 2),
        attention=dict(cascade_normed=False),
    )
    mixers = [m for m in model.modules() if isinstance(m, CGSRMHAVariant)]
    assert [mixer.cascade_normed for mixer in mixers] == [False] * 3
    with pytest.raises(TypeError, match='unexpected keyword argument'):
        HEViTPoseVariant('tiny', attention=dict(bias=True))

"""CGSR-MHA against the equations, written down literally."""

import pytest
import torch
from torch import nn

from gtpt_mm.layers.cascaded_attention import (
    CGSRMHA,
    NORMS,
    PROJECTIONS,
)


def randomise(module: nn.Module) -> nn.Module:
    """Leave the initial values, at which norms and biases do nothing."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.2)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return module.double().eval()


def literal(mixer: CGSRMHA, x: torch.Tensor) -> torch.Tensor:
    """Eqs. 6 to 8 with torch's own attention, group by group."""
    height, width = x.shape[2:]
    outputs = []
    handed_down = 0
    for g, group in enumerate(torch.chunk(x, mixer.num_groups, dim=1)):
        group = group + handed_down

        def norm(norms, tokens, g=g):
            return (norms[g] if len(norms) > 1 else norms[0])(tokens)

        query = norm(mixer.norm_query, group.flatten(2).permute(0, 2, 1))
        key = value = query
        if mixer.sr is not None:
            reduced = mixer.sr(group).flatten(2).permute(0, 2, 1)
            key = value = norm(mixer.norm_key, reduced)
            if mixer.norm_value is not None:
                value = norm(mixer.norm_value, reduced)
        mixer.mha.batch_first = True
        attended, _ = mixer.mha(query, key, value, need_weights=False)
        if mixer.with_identity:
            attended = attended + query
        normed = norm(mixer.norm_output, attended)

        def as_map(tokens):
            return tokens.permute(0, 2, 1).reshape(len(x), -1, height, width)

        outputs.append(as_map(normed))
        handed_down = as_map(normed if mixer.cascade_normed else attended)
    return mixer.proj(torch.cat(outputs, dim=1))


@pytest.mark.parametrize('size', [(8, 8), (7, 10)], ids=str)
@pytest.mark.parametrize('sr_ratio', [1, 2, 4])
@pytest.mark.parametrize(
    'choices',
    [
        {},
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
def test_follows_the_equations(choices, sr_ratio, size):
    mixer = randomise(CGSRMHA(24, 3, sr_ratio, 2, **choices))
    x = torch.randn(2, 24, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = literal(mixer, x)
        torch.testing.assert_close(mixer(x), expected, rtol=1e-9, atol=1e-9)
        x = x.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(mixer(x), expected, rtol=1e-9, atol=1e-9)


def test_groups_cascade():
    """Group g depends on the groups before it, not on those behind."""
    mixer = randomise(CGSRMHA(16, 4, 2, 2))
    mixer.proj = nn.Identity()
    x = torch.randn(1, 16, 4, 4, dtype=torch.float64)
    changed = x.clone()
    changed[:, 4:8] += 1
    with torch.no_grad():
        difference = (mixer(x) - mixer(changed)).abs().amax((0, 2, 3))
    assert (difference[:4] == 0).all()
    assert (difference[4:] > 1e-6).all()


@pytest.mark.parametrize('sr_ratio', [1, 2, 4, 8, 16])
def test_keys_lie_on_the_reduced_grid_rounded_up(sr_ratio):
    mixer = CGSRMHA(8, 2, sr_ratio, 1)
    if sr_ratio == 1:
        assert mixer.sr is None
        assert mixer.norm_key is None
        return
    assert mixer.sr.kernel_size == (2 * sr_ratio - 1,) * 2
    for height, width in ((16, 16), (17, 13)):
        reduced = mixer.sr(torch.zeros(1, 4, height, width))
        expected = (-(-height // sr_ratio), -(-width // sr_ratio))
        assert reduced.shape[2:] == expected


@pytest.mark.parametrize('choice', NORMS)
def test_norms_count_as_they_should(choice):
    """Of 64 channels in 4 groups: 32 parameters for one norm."""
    one = 2 * 16
    expected = {'group': 4 * one, 'shared': one, 'none': 0}[choice]
    others = sum(
        parameter.numel()
        for parameter in CGSRMHA(64, 4, 2, 2, norm_query='none').parameters()
    )
    mixer = CGSRMHA(64, 4, 2, 2, norm_query=choice)
    assert sum(p.numel() for p in mixer.parameters()) - others == expected


@pytest.mark.parametrize('proj', PROJECTIONS)
def test_every_parameter_learns(proj):
    mixer = CGSRMHA(
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
        (dict(num_groups=5), r'num_groups=5 .* embed_dims=32'),
        (dict(num_groups=0), r'num_groups=0'),
        (dict(num_heads=3), r'num_heads=3 .* 8 channels .*num_groups=4'),
        (dict(sr_ratio=0), r'sr_ratio .*positive.* 0'),
        (dict(norm_query='batch'), r"norm_query .*'group'.*'batch'"),
        (dict(norm_key_value='x'), r"norm_key_value .*'x'"),
        (dict(proj='linear'), r"proj .*'conv'.*'linear'"),
    ],
)
def test_errors_name_the_value(kwargs, message):
    sizes = dict(embed_dims=32, num_groups=4, sr_ratio=2, num_heads=2)
    with pytest.raises(ValueError, match=message):
        CGSRMHA(**{**sizes, **kwargs})

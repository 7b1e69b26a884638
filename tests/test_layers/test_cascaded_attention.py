"""CGSR-MHA against the equations, written down literally."""

import pytest
import torch
from torch import nn

from gtpt_mm.layers.cascaded_attention import CGSRMHA


def randomise(module: nn.Module) -> nn.Module:
    """Leave the initial values, at which norms and biases do nothing."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double().eval()


def literal(mixer: CGSRMHA, x: torch.Tensor) -> torch.Tensor:
    """Eqs. 6 to 8, group by group, head by head."""
    height, width = x.shape[2:]
    outputs, passed_on = [], 0
    for g, group in enumerate(torch.chunk(x, mixer.num_groups, dim=1)):
        group = group + passed_on
        query = mixer.norm_query[g](group.flatten(2).permute(0, 2, 1))
        key = query
        if mixer.sr is not None:
            reduced = mixer.sr(group).flatten(2).permute(0, 2, 1)
            key = mixer.norm_key[g](reduced)
        to_q, to_k, to_v = mixer.mha.in_proj_weight.chunk(3)
        heads = []
        for q, k, v in zip(
            (query @ to_q.T).chunk(mixer.mha.num_heads, dim=2),
            (key @ to_k.T).chunk(mixer.mha.num_heads, dim=2),
            (key @ to_v.T).chunk(mixer.mha.num_heads, dim=2),
            strict=True,
        ):
            logits = q @ k.transpose(1, 2) / q.shape[2] ** 0.5
            heads.append(logits.softmax(2) @ v)
        joined = torch.cat(heads, dim=2) @ mixer.mha.out_proj.weight.T
        normed = mixer.norm_output[g](joined).permute(0, 2, 1)
        passed_on = normed.reshape(len(x), -1, height, width)
        outputs.append(passed_on)
    return mixer.proj(torch.cat(outputs, dim=1))


@pytest.mark.parametrize('size', [(8, 8), (7, 10)], ids=str)
@pytest.mark.parametrize('sr_ratio', [1, 2, 4])
def test_follows_the_equations(sr_ratio, size):
    mixer = randomise(CGSRMHA(24, 3, sr_ratio, 2))
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
        assert not mixer.norm_key
        return
    assert mixer.sr.kernel_size == (2 * sr_ratio - 1,) * 2
    for height, width in ((16, 16), (17, 13)):
        reduced = mixer.sr(torch.zeros(1, 4, height, width))
        expected = (-(-height // sr_ratio), -(-width // sr_ratio))
        assert reduced.shape[2:] == expected


def test_every_parameter_learns():
    mixer = CGSRMHA(16, 2, 2, 2)
    mixer(torch.randn(2, 16, 8, 8)).square().mean().backward()
    for name, parameter in mixer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(num_groups=5), r'num_groups .*embed_dims = 32, got 5'),
        (dict(num_groups=0), r'num_groups .*got 0'),
        (dict(num_heads=3), r'num_heads .*num_groups = 8, got 3'),
        (dict(sr_ratio=0), r'sr_ratio .*positive.* 0'),
    ],
)
def test_errors_name_the_value(kwargs, message):
    sizes = dict(embed_dims=32, num_groups=4, sr_ratio=2, num_heads=2)
    with pytest.raises(ValueError, match=message):
        CGSRMHA(**{**sizes, **kwargs})

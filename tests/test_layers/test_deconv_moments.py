"""Norms that see a batch of which most outputs are never computed."""

import copy

import pytest
import torch
from torch import nn

from gtpt_mm.layers.deconv_moments import (
    deconv_moments,
    has_moments,
    norm_of_batch,
)

#: kernel, stride, padding, output padding; the first three are HeatmapHead's.
KERNELS = [
    (4, 2, 1, 0),
    (3, 2, 1, 1),
    (2, 2, 0, 0),
    (5, 2, 2, 1),
    (3, 1, 1, 0),
    ((4, 3), (2, 1), (1, 0), 0),
]


def make_pair(kernel, size=6):
    deconv = nn.ConvTranspose2d(5, size, *kernel, bias=False).double()
    norm = nn.BatchNorm2d(size).double()
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    return deconv, norm


@pytest.mark.parametrize('kernel', KERNELS, ids=str)
@pytest.mark.parametrize('shape', [(3, 5, 4, 6), (2, 5, 1, 3), (1, 5, 2, 1)])
def test_moments_are_those_of_the_output(kernel, shape):
    deconv, norm = make_pair(kernel)
    assert has_moments(deconv, norm)
    x = torch.randn(shape, dtype=torch.float64)
    total, squares = deconv_moments(x, deconv)
    out = deconv(x)
    torch.testing.assert_close(total, out.sum((0, 2, 3)))
    torch.testing.assert_close(squares, out.square().sum((0, 2, 3)))


@pytest.mark.parametrize('kernel', KERNELS, ids=str)
@pytest.mark.parametrize('num_own', [0, 2])
def test_norm_its_averages_and_every_gradient_are_equal(kernel, num_own):
    modules = make_pair(kernel)
    x = torch.randn(5, 5, 4, 6, dtype=torch.float64) + 1
    gain = None
    results = []
    for with_moments in (True, False):
        deconv, norm = copy.deepcopy(modules)
        ours = x.clone().requires_grad_()
        if with_moments:
            own, rest = deconv(ours[:num_own]), ours[num_own:]
            out = norm_of_batch(own, rest, deconv, norm)
        else:
            out = norm(deconv(ours))[:num_own]
        gain = torch.randn_like(out) if gain is None else gain
        (out * gain).sum().backward()
        results.append(
            [out.detach(), ours.grad, deconv.weight.grad, norm.weight.grad,
             norm.bias.grad, *norm.buffers()]
        )  # fmt: skip
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_float32_stays_near_with_a_mean_beside_a_small_deviation():
    """The variance is a difference of moments; the mean is 5 deviations."""
    deconv, norm = (module.float() for module in make_pair((4, 2, 1, 0)))
    x = torch.rand(8, 5, 16, 12) + 0.5
    deconv.weight.data.abs_()
    expected = norm(deconv(x))[:2]
    out = norm_of_batch(deconv(x[:2]), x[2:], deconv, norm)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('deconv', 'norm'),
    [
        (nn.ConvTranspose2d(4, 4, 4, 2, 1), nn.BatchNorm2d(4)),
        (nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4)),
        (nn.ConvTranspose2d(4, 4, 4, bias=False), nn.BatchNorm2d(4).eval()),
        (nn.ConvTranspose2d(4, 4, 4, bias=False), nn.SyncBatchNorm(4)),
        (
            nn.ConvTranspose2d(4, 4, 4, bias=False),
            nn.BatchNorm2d(4, momentum=None),
        ),
        (nn.ConvTranspose2d(4, 4, 4, 1, 2, bias=False), nn.BatchNorm2d(4)),
    ],
    ids=lambda module: str(module)[:40],
)
def test_other_modules_are_left_to_themselves(deconv, norm):
    assert not has_moments(deconv, norm)

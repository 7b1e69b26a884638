"""A linear layer that absorbs a BatchNorm: equal to both, one by one."""

import copy

import pytest
import torch
from torch import nn

from gtpt_mm.layers.norm_linear import norm_linear


@pytest.mark.parametrize('pixels', [1, 3])
def test_equal_to_norm_and_linear(pixels):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6).double()
    linear = nn.Linear(6 * pixels, 5).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    rows = torch.randn(20, 6 * pixels, dtype=torch.float64) * 3 + 2
    gain = torch.randn(20, 5, dtype=torch.float64)

    def run(forward):
        modules = copy.deepcopy((norm, linear))
        x = rows.clone().requires_grad_()
        out = forward(x, *modules)
        (out * gain).sum().backward()
        parameters = [p for m in modules for p in m.parameters()]
        buffers = [b for m in modules for b in m.buffers()]
        return [out.detach(), x.grad, *(p.grad for p in parameters), *buffers]

    new = run(lambda x, n, f: norm_linear(x, n, f.weight, f.bias))
    old = run(lambda x, n, f: f(n(x.view(-1, 6, 1, 1)).view(x.shape)))
    for actual, expected in zip(new, old, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-12)


def test_large_means_cost_few_digits():
    """32 bits suffice for a mean of 100 standard deviations."""
    torch.manual_seed(0)
    norm, linear = nn.BatchNorm2d(8), nn.Linear(8, 4)
    x = torch.randn(4000, 8) + 100
    out = norm_linear(x, norm, linear.weight, linear.bias)
    wide = x.double()
    normed = (wide - wide.mean(0)) / (wide.var(0, False) + norm.eps).sqrt()
    expected = normed @ linear.weight.double().T + linear.bias.double()
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=2e-4)

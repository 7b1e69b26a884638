"""Units of the sandwich layout."""

import pytest
import torch

from gtpt_mm.layers.sandwich import (
    ResidualDWConv,
    ResidualFFN,
    SqueezeExcite,
)


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
    with pytest.raises(ValueError, match='ratio .*channels = 6, got 4'):
        SqueezeExcite(6)

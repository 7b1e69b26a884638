import pytest
import torch
from torch import nn

from gtpt_mm.benchmark import peak_memory

MEGA = 1_000_000


def test_peak_is_that_of_live_tensors():
    def call():
        a = torch.empty(MEGA)
        b = torch.empty(MEGA // 2)
        del a
        c = torch.empty(MEGA // 4)
        return b, c

    assert peak_memory(call) == 4 * (MEGA + MEGA // 2)


def test_what_was_there_before_does_not_count():
    held = torch.ones(MEGA)
    assert peak_memory(lambda: held[: MEGA // 2].neg()) == 4 * MEGA // 2


def test_temporaries_inside_modules_count():
    model = nn.Sequential(nn.Linear(10, 1000), nn.Linear(1000, 10))
    with torch.no_grad():
        peak = peak_memory(lambda: model(torch.empty(500, 10)))
    assert peak == 4 * 500 * (10 + 1000 + 10)


def test_backward_counts():
    weight = torch.rand(MEGA, requires_grad=True)
    # The exponential is kept for backward and meets its gradient.
    peak = peak_memory(lambda: weight.exp().sum().backward())
    assert 2 * 4 * MEGA <= peak <= 3 * 4 * MEGA
    assert weight.grad is not None


def test_profiler_is_quiet(capfd):
    peak_memory(lambda: torch.empty(10))
    assert capfd.readouterr() == ('', '')


def test_profiler_is_off_after_a_call_that_fails():
    """Else it would slow down all that a benchmark times afterwards."""

    def fail():
        raise RuntimeError('no such kernel')

    with pytest.raises(RuntimeError, match='no such kernel'):
        peak_memory(fail)
    assert not torch._C._autograd._profiler_enabled()

"""Norms that are computed again in backward: equal numbers, less memory."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from gtpt_mm.benchmark import peak_memory
from gtpt_mm.layers.recomputed_norm import RecomputedNorm, recompute_norms
from gtpt_mm.layers.shuffle_stem import (
    PatchEmbed,
    ShuffleStem,
    ShuffleUNetStem,
)


def run(stem, img, enabled, memory_format=torch.contiguous_format):
    stem = copy.deepcopy(stem).train()
    img = img.contiguous(memory_format=memory_format).requires_grad_()
    with recompute_norms() if enabled else nullcontext():
        out = stem(img)
    generator = torch.Generator().manual_seed(0)
    gain = torch.randn(out.shape, generator=generator, dtype=out.dtype)
    (out * gain).sum().backward()
    gradients = [p.grad for p in stem.parameters()]
    return [out.detach(), img.grad, *gradients, *stem.buffers()]


@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last], ids=str
)
def test_outputs_gradients_and_averages_are_equal(memory_format):
    """Also of an output that two read."""

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(
                nn.Conv2d(3, 6, 3, padding=1),
                RecomputedNorm(6),
                nn.ReLU(inplace=True),
            )
            self.left = nn.Sequential(
                nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6)
            )
            self.right = nn.Sequential(
                nn.Conv2d(6, 6, 3, padding=0), RecomputedNorm(6),
                nn.ReLU(inplace=True), nn.Conv2d(6, 6, 1),
            )  # fmt: skip

        def forward(self, img):
            x = self.first(img)
            return self.left(x) * self.right(x)

    stem, img = Both().double(), torch.randn(2, 3, 9, 7).double()
    for norm in stem.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    new = run(stem, img, True, memory_format)
    old = run(stem, img, False, memory_format)
    for actual, expected in zip(new, old, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    'stem', [ShuffleStem(16), ShuffleUNetStem((8, 12, 16))], ids=['S', 'UNet']
)
def test_stems_train_as_before(stem, monkeypatch):
    """Layout and recomputation change no number but by rounding."""
    stem, img = stem.double(), torch.randn(2, 3, 32, 32).double()
    new = run(stem, img, False)
    module = 'gtpt_mm.layers.shuffle_stem'
    monkeypatch.setattr(f'{module}._lay_out', lambda img, training: img)
    monkeypatch.setattr(f'{module}._saves_memory', lambda *_: False)
    old = run(stem, img, False)
    for actual, expected in zip(new, old, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last], ids=str
)
def test_patches_may_be_normed_behind_the_cut(memory_format):
    embed = PatchEmbed(6, 8, (4, 3)).double().train()
    nn.init.normal_(embed.norm.weight)
    nn.init.normal_(embed.norm.bias)
    x = (
        torch.randn(2, 6, 8, 9)
        .double()
        .contiguous(memory_format=memory_format)
    )
    results = []
    for forward in (
        PatchEmbed.forward,
        lambda e, x: e.proj(e._cut(e.norm(x))),
    ):
        ours, img = copy.deepcopy(embed), x.clone().requires_grad_()
        out = forward(ours, img)
        (
            out * torch.linspace(-1, 1, out.numel()).view_as(out)
        ).sum().backward()
        gradients = [p.grad for p in ours.parameters()]
        results.append([out.detach(), img.grad, *gradients, *ours.buffers()])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def test_freed_memory_is_not_taken_for_an_output():
    """A tensor of equal shape may get the address of a dropped output."""
    layers = []
    for _ in range(6):
        layers += [nn.Conv2d(8, 8, 1), RecomputedNorm(8),
                   nn.ReLU(inplace=True)]  # fmt: skip
    stem, img = nn.Sequential(*layers).double(), torch.randn(2, 8, 16, 16)
    new, old = (run(stem, img.double(), on) for on in (True, False))
    for actual, expected in zip(new, old, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def test_a_stem_stores_less(monkeypatch):
    stem, img = ShuffleStem(32).train(), torch.randn(2, 3, 64, 64)
    before = peak_memory(lambda: stem(img))
    module = 'gtpt_mm.layers.shuffle_stem'
    monkeypatch.setattr(f'{module}._saves_memory', lambda *_: False)
    assert before < 0.8 * peak_memory(lambda: stem(img))


def test_weights_of_a_functional_call_count_in_backward():
    torch.manual_seed(0)
    stem = nn.Sequential(
        nn.Conv2d(3, 4, 1),
        RecomputedNorm(4),
        nn.ReLU(True),
        nn.Conv2d(4, 4, 1),
    ).double()
    other = {
        name: torch.randn_like(p, requires_grad=True)
        for name, p in stem.named_parameters()
    }
    img = torch.randn(2, 3, 5, 4).double()
    gradients = []
    for context in (recompute_norms(), nullcontext()):
        with context:
            out = torch.func.functional_call(stem, other, (img,))
        loss = out.square().sum()
        gradients.append(torch.autograd.grad(loss, list(other.values())))
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)

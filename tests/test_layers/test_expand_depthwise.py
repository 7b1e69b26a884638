"""Expansion, norm, ReLU and depthwise convolution without the wide map."""

import copy

import pytest
import torch
from torch import nn

from gtpt_mm.benchmark import peak_memory
from gtpt_mm.layers.expand_depthwise import expand_depthwise
from gtpt_mm.layers.recomputed_norm import recompute_norms
from gtpt_mm.layers.shuffle_stem import ShuffleUnit


def make(in_channels=5, channels=8, stride=2, bias=True):
    torch.manual_seed(0)
    modules = (
        nn.Conv2d(in_channels, channels, 1, bias=bias),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels,
                  bias=bias),
    )  # fmt: skip
    for module in modules:
        nn.init.normal_(module.weight)
    nn.init.normal_(modules[1].bias)
    return modules


def plain(x, expand, norm, depthwise):
    return depthwise(norm(expand(x)).relu())


def run(forward, modules, img):
    modules = copy.deepcopy(modules)
    x = img.clone().requires_grad_()
    out = forward(x, *modules)
    generator = torch.Generator().manual_seed(0)
    gain = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    (out * gain.to(out)).sum().backward()
    return [
        out.detach(),
        x.grad,
        *(p.grad for m in modules for p in m.parameters()),
        *(b for m in modules for b in m.buffers()),
    ]


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last], ids=str
)
def test_equal_to_the_modules(stride, bias, memory_format):
    modules = [m.double() for m in make(stride=stride, bias=bias)]
    img = torch.randn(3, 5, 8, 11, dtype=torch.float64) + 0.5
    img = img.contiguous(memory_format=memory_format)
    new, old = (run(f, modules, img) for f in (expand_depthwise, plain))
    for actual, expected in zip(new, old, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-11)


def test_the_bias_that_the_norm_cancels_gets_no_gradient():
    """Autograd returns rounding errors, which Adam scales to full steps."""
    gradients = run(expand_depthwise, make(), torch.randn(2, 5, 8, 6))
    assert gradients[3].shape == (8,)
    assert not gradients[3].any()


def test_the_wide_map_is_not_stored():
    img = torch.randn(8, 4, 64, 64)
    modules = make(4, 64)
    wide = 8 * 64 * 64 * 64 * 4  # bytes
    new, old = (
        peak_memory(lambda f=f: f(img, *modules).sum().backward(), 'cpu')
        for f in (expand_depthwise, plain)
    )
    assert old > 3 * wide
    assert new < 1.5 * wide


class Doubled(nn.Conv2d):
    """A convolution with another formula."""

    def forward(self, x):
        return 2 * super().forward(x)


def double(unit):
    conv = unit.branch2[0]
    twin = Doubled(conv.in_channels, conv.out_channels, 1).double()
    twin.load_state_dict(conv.state_dict())
    unit.branch2[0] = twin


def freeze(unit):
    unit.branch2[1].eval()


def hook(unit):
    unit.branch2[3].register_forward_hook(lambda m, args, out: 2 * out)


def patch(unit):
    conv = unit.branch2[0]
    conv.forward = lambda x: 2 * type(conv).forward(conv, x)


def reflect(unit):
    unit.branch2[3].padding_mode = 'reflect'


def drop_bias(unit):
    unit.branch2[5].bias = None


def forget_averages(unit):
    unit.branch2[1].momentum = unit.branch2[6].momentum = None


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize(
    'change',
    [
        lambda unit: None,
        double,
        freeze,
        hook,
        patch,
        reflect,
        drop_bias,
        forget_averages,
    ],
)
def test_units_with_changed_modules_use_them(change, stride):
    """Other classes, norms in evaluation and hooks are not bypassed."""
    torch.manual_seed(0)
    unit = ShuffleUnit(8, 8 * stride, stride).double().train()
    change(unit)
    img = torch.randn(2, 8, 10, 6).double()
    img = img.contiguous(memory_format=torch.channels_last)

    def lean(x, module):
        with recompute_norms():
            return module(x)

    new = run(lean, [unit], img)
    old = run(lambda x, module: module(x), [unit], img)
    for actual, expected in zip(new, old, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def test_autocast_uses_the_modules():
    """Half precision decides what each module computes in."""
    unit = ShuffleUnit(8, 16, 2).train()
    img = torch.randn(2, 8, 10, 6)
    with torch.autocast('cpu', torch.bfloat16):
        expected = copy.deepcopy(unit)(img)
        with recompute_norms():
            actual = unit(img)
    assert actual.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_backward_hooks_are_called():
    unit = ShuffleUnit(8, 16, 2).train()
    called = []
    for name, module in unit.branch2.named_children():
        module.register_full_backward_hook(
            lambda *args, name=name: called.append(name)
        )
    unit.branch2[2].inplace = unit.branch2[7].inplace = False
    with recompute_norms():
        out = unit.branch2(torch.randn(2, 8, 10, 6, requires_grad=True))
    out.sum().backward()
    assert sorted(called) == list('01234567')


def test_cancelling_weights_keep_their_variance():
    """Channels vary together, and each weight row adds up to nearly 0."""
    torch.manual_seed(0)
    expand, norm, depthwise = make(8, 12)
    direction = torch.randn(8)
    rows = expand.weight.data.flatten(1)
    rows -= torch.outer(rows @ direction, direction) / direction.square().sum()
    x = 10 * torch.randn(4, 1, 24, 18) * direction[:, None, None]
    for noise in (0, 0.01):
        img = x + noise * torch.randn(4, 8, 24, 18)
        out = expand_depthwise(img, expand, norm, depthwise)
        wide = [copy.deepcopy(m).double() for m in (expand, norm, depthwise)]
        expected = plain(img.double(), *wide)
        assert out.isfinite().all()
        if noise:
            assert (out - expected).abs().max() < 2e-3


def test_gradients_only_where_they_are_asked_for():
    modules = make()
    img = torch.randn(2, 5, 8, 6)
    expand_depthwise(img, *modules).sum().backward()
    old = copy.deepcopy(modules)
    for module in old:
        module.zero_grad()
    plain(img, *old).sum().backward()
    for ours, theirs in zip(modules, old, strict=True):
        torch.testing.assert_close(
            ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3
        )


def test_backward_under_autocast():
    """The forward pass ran outside; its backward pass has its precision."""
    modules = make()
    img = torch.randn(2, 5, 8, 6)
    expected = run(expand_depthwise, modules, img)

    x = img.clone().requires_grad_()
    out = expand_depthwise(x, *modules)
    generator = torch.Generator().manual_seed(0)
    gain = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    loss = (out * gain.to(out)).sum()
    with torch.autocast('cpu', torch.bfloat16):
        loss.backward()
    torch.testing.assert_close(x.grad, expected[1])


def test_a_compiled_unit_of_a_stem():
    torch.manual_seed(0)
    unit = ShuffleUnit(8, 16, 2).train()
    img = torch.randn(2, 8, 10, 6)
    expected = copy.deepcopy(unit)(img)
    compiled = torch.compile(unit, backend='aot_eager')
    with recompute_norms():
        out = compiled(img)
    out.sum().backward()
    torch.testing.assert_close(out, expected)

"""Deformable attention: the ways to sample agree with mmcv's module."""

from dataclasses import replace

import mmcv.ops
import pytest
import torch
from torch.autograd import gradcheck

from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.token_maps import TokenMaps
from gtpt_mm.ops import DeformSampler

SHAPES = [(5, 7), (3, 4), (1, 2)]
NUM_VALUES = sum(h * w for h, w in SHAPES)
WAYS = ('row_gather', 'grid_sample', 'compiled')


def build(impl: str = 'auto', **options) -> DeformableAttention:
    attention = DeformableAttention(24, 3, 3, 2, impl=impl, **options)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return attention


def make_inputs(num_numbers: int = 2):
    """Queries, values, reference points and the layout of the values."""
    torch.manual_seed(1)
    points = torch.rand(2, 6, 3, num_numbers) * 1.2 - 0.1
    maps = replace(
        TokenMaps.without_padding(SHAPES, points.device),
        key_padding_mask=torch.rand(2, NUM_VALUES) < 0.2,
    )
    queries, values = torch.randn(2, 6, 24), torch.randn(2, NUM_VALUES, 24)
    return queries, values, points, maps


def mmcv_twin(attention: DeformableAttention) -> torch.nn.Module:
    twin = mmcv.ops.MultiScaleDeformableAttention(
        24, 3, 3, 2, dropout=0.0, batch_first=True
    )
    twin.load_state_dict(attention.state_dict(), strict=True)
    return twin


@pytest.mark.parametrize('impl', WAYS)
@pytest.mark.parametrize('num_numbers', [2, 4])
def test_agrees_with_mmcv_and_so_do_the_gradients(impl, num_numbers):
    attention = build(impl).double()
    twin = mmcv_twin(attention).double()
    *inputs, maps = make_inputs(num_numbers)
    grads = []
    for own in (True, False):
        leaves = [t.double().requires_grad_() for t in inputs]
        if own:
            out = attention(*leaves, maps)
        else:
            sizes = torch.tensor(SHAPES)
            out = twin(
                leaves[0],
                value=leaves[1],
                identity=torch.zeros(()),
                key_padding_mask=maps.key_padding_mask,
                reference_points=leaves[2],
                spatial_shapes=sizes,
                level_start_index=sizes.prod(1).cumsum(0) - sizes.prod(1),
            )
        parameters = list((attention if own else twin).parameters())
        (out.sin().sum()).backward()
        grads.append([out, *(p.grad for p in leaves + parameters)])
        for parameter in parameters:
            parameter.grad = None
    for actual, expected in zip(*grads, strict=True):
        torch.testing.assert_close(actual, expected)


def test_starts_as_mmcv():
    attention = DeformableAttention(24, 3, 3, 2)
    twin = mmcv.ops.MultiScaleDeformableAttention(24, 3, 3, 2)
    for leaf in ('weight', 'bias'):
        for name in ('sampling_offsets', 'attention_weights'):
            torch.testing.assert_close(
                getattr(getattr(attention, name), leaf),
                getattr(getattr(twin, name), leaf),
            )
    assert attention.value_proj.bias.abs().max() == 0


@pytest.mark.parametrize('impl', ['row_gather', 'grid_sample'])
def test_gradients_of_the_samplers(impl):
    value = torch.rand(2, 11, 2, 3, dtype=torch.float64, requires_grad=True)
    places = torch.rand(2, 3, 2, 2, 2, 2, dtype=torch.float64) * 5 - 1.5
    weights = torch.rand(2, 3, 2, 2, 2, dtype=torch.float64)

    def sample(value, places, weights):
        return DeformSampler(value, [(3, 3), (1, 2)], impl)(places, weights)

    leaves = (value, places.requires_grad_(), weights.requires_grad_())
    assert gradcheck(sample, leaves)


def test_places_far_outside_and_not_a_number_sample_nothing():
    value = torch.rand(1, 12, 1, 4)
    places = torch.tensor([-1e9, 1e9, float('inf'), -1.5, 4.5])
    places = torch.stack((places, torch.ones(5)), -1)
    places = places.view(1, 1, 1, 1, 5, 2)
    weights = torch.ones(1, 1, 1, 1, 5)
    sampler = DeformSampler(value, [(3, 4)], 'row_gather')
    assert sampler(places, weights).abs().max() == 0
    sampler(torch.full_like(places, float('nan')), weights)  # no crash


@pytest.mark.parametrize('impl', ['row_gather', 'grid_sample'])
def test_autocast_keeps_the_places(impl):
    """Half the bits move a sample by less than a hundredth of a cell."""
    attention = build(impl)
    with torch.no_grad():
        attention.sampling_offsets.weight.zero_()
        attention.sampling_offsets.bias.fill_(0.125)
    query, *_ = make_inputs()
    size = 200  # bfloat16 tells cells of such a map apart by whole numbers
    ramp = torch.linspace(0, 1, size)[None, :, None].expand(1, -1, 24)
    points = torch.rand(1, 6, 3, 2)
    shapes = [(1, size), (1, size), (1, size)]
    maps = TokenMaps.without_padding(shapes, query.device)
    outputs = []
    handle = attention.output_proj.register_forward_hook(
        lambda module, inputs, output: outputs.append(inputs[0])
    )
    for enabled in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            sampler = DeformSampler(
                ramp.repeat(1, 3, 1).unflatten(2, (3, -1)), shapes, impl
            )
            attention.attend(query[:1], points, maps, sampler)
    handle.remove()
    torch.testing.assert_close(outputs[1], outputs[0], atol=5e-3, rtol=2e-2)


def test_values_of_padding_do_not_matter():
    attention = build()
    query, value, points, maps = make_inputs()
    expected = attention(query, value, points, maps)
    value[maps.key_padding_mask] = 100
    actual = attention(query, value, points, maps)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(embed_dims=10, num_heads=4), 'num_heads must divide .* got 4'),
        (dict(embed_dims=8, impl='cuda'), "impl must .* got 'cuda'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        DeformableAttention(**options)


def test_bad_reference_points_are_named():
    with pytest.raises(ValueError, match='got 3 numbers'):
        build()(*make_inputs(3))

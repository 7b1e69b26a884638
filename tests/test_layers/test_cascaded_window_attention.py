"""Cascaded attention in windows against loops over windows and tokens."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gtpt_mm.layers.cascaded_window_attention import CascadedWindowAttention


def make(window_size: int) -> CascadedWindowAttention:
    mixer = CascadedWindowAttention(
        12, 2, key_dims=4, window_size=window_size, query_kernels=(5, 3)
    )
    for parameter in mixer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return mixer.double().eval()


def attend_one_window(mixer, x):
    """Heads one after the other, tokens of one map (1, C, h, w)."""
    height, width = x.shape[2:]
    places = [(i, j) for i in range(height) for j in range(width)]
    outputs, last = [], 0
    for head, group in enumerate(x.chunk(2, dim=1)):
        q, k, v = mixer.qkvs[head](group + last).split((4, 4, 6), dim=1)
        q = mixer.query_convs[head](q)
        last = torch.zeros_like(v)
        for i, j in places:
            logits = [
                (q[0, :, i, j] @ k[0, :, m, n]) / 2  # root of 4
                + mixer.position_bias[
                    head, abs(i - m) * mixer.window_size + abs(j - n)
                ]
                for m, n in places
            ]
            weights = torch.stack(logits).softmax(0)
            last[0, :, i, j] = sum(
                weight * v[0, :, m, n]
                for weight, (m, n) in zip(weights, places, strict=True)
            )
        outputs.append(last)
    return mixer.proj(torch.cat(outputs, dim=1))


def test_map_of_one_window():
    mixer = make(5)
    x = torch.randn(1, 12, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(mixer(x), attend_one_window(mixer, x))


def test_larger_maps_are_padded_and_cut():
    mixer = make(3)
    x = torch.randn(2, 12, 5, 4, dtype=torch.float64)
    expected = torch.zeros(2, 12, 6, 6, dtype=torch.float64)
    padded = F.pad(x, (0, 2, 0, 1))
    with torch.no_grad():
        for b in range(2):
            for i in (0, 3):
                for j in (0, 3):
                    window = (slice(b, b + 1), slice(None))
                    window += (slice(i, i + 3), slice(j, j + 3))
                    expected[window] = attend_one_window(mixer, padded[window])
        torch.testing.assert_close(mixer(x), expected[:, :, :5, :4])


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(num_heads=5), r'num_heads .* embed_dims = 12, got 5'),
        (dict(query_kernels=(3,)), r'query_kernels .*2 odd .*\(3,\)'),
        (dict(query_kernels=(3, 4)), r'query_kernels .*\(3, 4\)'),
    ],
)
def test_errors_name_the_value(kwargs, message):
    sizes = dict(embed_dims=12, num_heads=2, query_kernels=(3, 3))
    with pytest.raises(ValueError, match=message):
        CascadedWindowAttention(**{**sizes, **kwargs})

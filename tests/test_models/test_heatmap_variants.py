"""The minimal decoder and the one with a frozen predictor."""

import pytest
import torch
from mmpose.registry import MODELS

from gtpt_mm.engine.hooks.freeze import freeze
from gtpt_mm.models import FrozenPredictorHead, PixelShuffleHead


def test_pixels_of_a_keypoint_are_channels_in_succession():
    head = PixelShuffleHead(8, 3, upscale_factor=4)
    feats = (torch.randn(2, 8, 5, 4),)
    out = head(feats)
    assert out.shape == (2, 3, 20, 16)
    flat = head.final_layer(feats[0])
    for k, i, j in ((0, 0, 1), (2, 3, 2)):
        expected = flat[:, 16 * k + 4 * i + j]
        torch.testing.assert_close(out[:, k, i::4, j::4], expected)


def test_shuffled_head_builds_like_mmposes():
    head = MODELS.build(dict(type='PixelShuffleHead', in_channels=8,
                             out_channels=3))  # fmt: skip
    head.init_weights()
    assert head.final_layer.weight.std() < 2e-3
    with pytest.raises(ValueError, match='0'):
        PixelShuffleHead(8, 3, upscale_factor=0)


def test_predictor_is_frozen_and_not_tiny():
    head = FrozenPredictorHead(8, 3, (16, 16), (4, 4))
    head.init_weights()
    freeze(head, ['final_layer'])
    frozen = {n for n, p in head.named_parameters() if not p.requires_grad}
    assert frozen == {'final_layer.weight', 'final_layer.bias'}
    # torch's default for 16 inputs: uniform up to 1/4.
    assert 0.1 < head.final_layer.weight.std() < 0.2
    assert head.deconv_layers[0].weight.std() < 2e-3
    start = head.final_layer.weight.clone()
    optimizer = torch.optim.AdamW(
        [p for p in head.parameters() if p.requires_grad], 1e-2
    )
    head((torch.randn(2, 8, 5, 4),)).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(head.final_layer.weight, start)

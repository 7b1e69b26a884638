"""Fused Group Pose: one product for two, tokens in chunks."""

import pytest
import torch
from support.group_pose_small import build_head, make_feats, make_samples

from gtpt_mm.deploy import fused_group_pose
from gtpt_mm.deploy.fuse import fuse_module


def predict(head, samples) -> torch.Tensor:
    with torch.no_grad():
        results = head.eval()(make_feats(), samples)
    return torch.cat([result.flatten() for result in results])


@pytest.mark.parametrize('padded', [False, True])
@pytest.mark.parametrize('chunk', [100, 1024])
def test_fused_head_gives_equal_numbers(padded, chunk, monkeypatch):
    """Also where tokens pass in chunks that do not divide them."""
    monkeypatch.setattr(fused_group_pose, 'CHUNK_SIZE', chunk)
    head = build_head()
    samples = make_samples() if padded else None
    expected = predict(head, samples)
    sizes = []
    for layer in head.encoder.layers:
        layer.ffn.register_forward_hook(
            lambda module, args, out: sizes.append(out.shape[1])
        )
    head = fuse_module(head, None)
    torch.testing.assert_close(predict(head, samples), expected)
    # 256 tokens of two images.
    assert sizes == ([50] * 5 + [6] if chunk == 100 else [256]) * 2


def test_fused_head_has_one_product_for_two():
    head = fuse_module(build_head(), None)
    names = [name for name, _ in head.named_parameters()]
    assert any('offsets_and_weights' in name for name in names)
    assert not any('sampling_offsets' in name for name in names)
    assert not any('attention_weights' in name for name in names)


def test_fused_head_on_another_device_takes_all_tokens():
    head = fuse_module(build_head(), None).to('meta')
    feats = tuple(feat.to('meta') for feat in make_feats())
    sizes = []
    head.encoder.layers[0].layer.ffn.register_forward_hook(
        lambda module, args, out: sizes.append(out.shape[1])
    )
    head(feats)
    assert sizes == [256]

"""The networks of ``projects/group_pose_peers``."""

import pytest
import torch

from gtpt_mm.benchmark import load_network, parse_models

FOLDER = 'projects/group_pose_peers/networks'


@pytest.fixture
def networks(repo_root, monkeypatch):
    monkeypatch.syspath_prepend(repo_root)
    names = ('edpose-res50', 'edpose-res50_row-gather')
    choices = parse_models([f'{repo_root}/{FOLDER}/{n}.py' for n in names])
    return [load_network(choice, (256, 256)) for choice in choices]


def test_edpose_runs_without_data_samples(networks):
    """mmpose's cannot; with either operator its numbers are the same."""
    stock, other = (network.model for network in networks)
    # Counted of mmpose's own config, with the affine numbers of the frozen
    # norms, which are buffers.
    affine = 106_240 // 2
    total = sum(p.numel() for p in stock.parameters()) + affine
    assert total == 48_134_040
    other.load_state_dict(stock.state_dict())
    images = networks[0].images(1)
    operators = []
    with torch.no_grad():
        results = []
        for model in (stock, other):
            with torch.profiler.profile() as profile:
                results.append(model(images, None, mode='tensor'))
            operators.append({event.key for event in profile.key_averages()})
    for own, expected in zip(*results, strict=True):
        assert own.isfinite().all()
        torch.testing.assert_close(own, expected, atol=1e-3, rtol=1e-3)
    assert 'aten::grid_sampler' in operators[0]
    assert 'aten::grid_sampler' not in operators[1]
    logits, boxes, keypoints = results[0]
    assert logits.shape == (1, 100, 2) and boxes.shape == (1, 100, 4)
    assert keypoints.shape == (1, 100, 51)

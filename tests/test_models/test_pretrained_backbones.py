"""Backbones of Group Pose start from the files that users have."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torchvision.models import resnet50

from gtpt_mm.convert import export_group_pose

SMALL = dict(embed_dims=16, depths=(1, 1, 2, 1))


def build(repo_root, name: str, **options) -> torch.nn.Module:
    init_default_scope('mmpose')
    path = repo_root / f'configs/_base_/models/group_pose_{name}.py'
    cfg = Config.fromfile(path).model.backbone
    cfg.init_cfg = options.pop('init_cfg', None)
    return MODELS.build({**cfg, **options})


def pretrained(path) -> dict:
    return dict(type='Pretrained', checkpoint=str(path))


def test_resnet_of_torchvision(repo_root, tmp_path):
    """Every tensor but the classifier's."""
    torch.manual_seed(0)
    weights = resnet50().state_dict()
    for name, value in weights.items():
        if name.endswith(('running_mean', 'bias')):
            value.normal_()
    torch.save(weights, tmp_path / 'resnet50.pth')
    own = build(
        repo_root, 'res50', init_cfg=pretrained(tmp_path / 'resnet50.pth')
    )
    own.init_weights()
    loaded = own.state_dict()
    assert set(weights) - set(loaded) == {'fc.weight', 'fc.bias'}
    assert set(loaded) <= set(weights)
    for name, value in loaded.items():
        assert torch.equal(value, weights[name]), name
    assert not own.conv1.weight.requires_grad
    assert not own.bn1.weight.requires_grad


@pytest.fixture
def official(repo_root):
    """A small Swin, and its weights as the authors of Swin name them."""
    torch.manual_seed(0)
    model = build(repo_root, 'swin-t', **SMALL)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    ours = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    weights = {
        name.removeprefix('backbone.0.'): value
        for name, value in export_group_pose(ours).items()
    }
    weights = {
        name: value
        for name, value in weights.items()
        if not name.startswith(('norm1', 'norm2', 'norm3'))
    }
    assert 'layers.2.blocks.1.attn.qkv.weight' in weights
    # What else their files have: masks, the last norm, the classifier.
    weights |= {
        'layers.2.blocks.1.attn_mask': torch.zeros(4, 49, 49),
        'norm.weight': torch.ones(128),
        'norm.bias': torch.ones(128),
        'head.weight': torch.ones(10, 128),
        'head.bias': torch.ones(10),
    }
    return model, weights


def test_swin_of_its_authors(official, repo_root, tmp_path):
    model, weights = official
    path = tmp_path / 'swin.pth'
    torch.save(dict(model=weights), path)
    own = build(repo_root, 'swin-t', **SMALL, init_cfg=pretrained(path))
    own.init_weights()
    expected = model.state_dict()
    for name, value in own.state_dict().items():
        if name.startswith('norm'):
            assert (value == float(name.endswith('weight'))).all(), name
        else:
            assert torch.equal(value, expected[name]), name


def test_swin_of_mmpose(official, repo_root, tmp_path):
    model, _ = official
    path = tmp_path / 'swin.pth'
    torch.save(model.state_dict(), path)
    option = dict(convert_weights=False, init_cfg=pretrained(path))
    own = build(repo_root, 'swin-t', **SMALL, **option)
    own.init_weights()
    for name, value in own.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_other_swin_is_refused(official, repo_root, tmp_path):
    """mmpose's warns, and goes on with random weights."""
    _, weights = official
    path = tmp_path / 'swin.pth'
    torch.save(dict(model=weights), path)
    deep = dict(embed_dims=16, depths=(1, 1, 3, 1), init_cfg=pretrained(path))
    with pytest.raises(ValueError, match=r'lacks .*stages\.2\.blocks\.2'):
        build(repo_root, 'swin-t', **deep).init_weights()
    wide = dict(embed_dims=32, depths=(1, 1, 2, 1), init_cfg=pretrained(path))
    wide = build(repo_root, 'swin-t', **wide)
    with pytest.raises(RuntimeError, match='size mismatch'):
        wide.init_weights()
    torch.save(dict(model=dict(weights, other=torch.ones(1))), path)
    own = build(repo_root, 'swin-t', **SMALL, init_cfg=pretrained(path))
    with pytest.raises(ValueError, match='has other besides'):
        own.init_weights()

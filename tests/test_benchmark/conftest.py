"""Networks small enough to be measured in a test."""

import pytest
from mmengine.config import Config

from gtpt_mm.benchmark import ModelChoice, Network, load_network

TINY = """
codec = dict(type='MSRAHeatmap', input_size=(32, 64), heatmap_size=(8, 16),
             sigma=1)
model = dict(
    type='TopdownPoseEstimator',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8,
                  init_cfg=dict(type='Pretrained', checkpoint='http://no')),
    head=dict(
        type='HeatmapHead', in_channels=64, out_channels=17,
        deconv_out_channels=(8, 8, 8), decoder=codec,
        loss=dict(type='KeypointMSELoss', use_target_weight=True)))
train_dataloader = dict(dataset=dict(
    type='CocoDataset',
    pipeline=[dict(type='LoadImage'), dict(type='GenerateTarget',
              encoder=codec), dict(type='PackPoseInputs')]))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImage'),
    dict(type='TopdownAffine', input_size=codec['input_size'])]))
"""


@pytest.fixture
def tiny_config(tmp_path):
    """A config of a tiny network for 64 x 32 images."""
    path = tmp_path / 'tiny.py'
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny_network(tiny_config):
    return load_network(ModelChoice(tiny_config, 'tiny'))


@pytest.fixture
def network_of():
    """Wrap any module that takes (inputs, data_samples, mode)."""

    def wrap(module, label):
        return Network(label, 'none.py', Config(), module.eval(), (4, 4))

    return wrap

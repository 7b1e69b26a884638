"""A training run without its pretrained weights ends with advice."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpose.models.backbones import ResNet

from gtpt_mm.engine import PretrainedFileHook

BACKBONE = dict(depth=18, base_channels=8, stem_channels=8)


class Tiny(BaseModel):
    """A backbone and a loss."""

    def __init__(self, checkpoint: str) -> None:
        super().__init__()
        init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
        self.backbone = ResNet(**BACKBONE, init_cfg=init_cfg)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.backbone(inputs)[-1].mean())


def make_runner(checkpoint: str, work_dir) -> Runner:
    images = torch.rand(2, 3, 32, 32)
    return Runner(
        Tiny(checkpoint),
        work_dir=str(work_dir),
        train_dataloader=torch.utils.data.DataLoader(
            [dict(inputs=image) for image in images], batch_size=2
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        custom_hooks=[PretrainedFileHook()],
        default_scope='mmpose',
        cfg=Config(),
        experiment_name=f'pretrained-{work_dir.name}',
    )


def test_missing_file_is_named_with_the_option(tmp_path):
    runner = make_runner(str(tmp_path / 'none.pth'), tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        runner.train()
    message = str(caught.value)
    assert 'none.pth' in message
    assert 'model.backbone.init_cfg.checkpoint=FILE' in message


def test_no_network_is_no_riddle(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    source = 'http://127.0.0.1:9/resnet.pth'  # nobody listens there
    with pytest.raises(FileNotFoundError, match='cannot be loaded'):
        make_runner(source, tmp_path).train()


def test_given_file_is_loaded(tmp_path):
    torch.manual_seed(1)
    weights = ResNet(**BACKBONE).state_dict()
    torch.save(weights, tmp_path / 'backbone.pth')
    runner = make_runner(str(tmp_path / 'backbone.pth'), tmp_path)
    runner.train()
    value = runner.model.backbone.conv1.weight.detach()
    torch.testing.assert_close(value, weights['conv1.weight'])


def test_a_test_needs_no_pretrained_weights(tmp_path):
    runner = make_runner(str(tmp_path / 'none.pth'), tmp_path)
    assert runner.call_hook('before_run') is None

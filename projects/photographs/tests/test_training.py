"""One run of projects/photographs from its start to its result."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmpose.registry import HOOKS, MODELS

import gtpt_mm  # noqa: F401  (compat and registration)
from projects.photographs import runs, training
from projects.photographs.runs import Run

SETS = runs.ROOT.parent / 'shared/data/sets'
CONFIG = """
_base_ = '{base}/_base_/lspet_heatmap.py'
root = '{root}/'
train_dataloader = dict(batch_size=4, dataset=dict(data_root=root))
val_dataloader = dict(dataset=dict(data_root=root))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='PCKAccuracy', thr=0.05, prefix='at_0.05'),
    dict(type='PCKAccuracy', thr=0.1, prefix='at_0.1')]
test_evaluator = val_evaluator
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(3, )),
    head=dict(
        type='HeatmapHead', in_channels=8, out_channels=14,
        deconv_out_channels=(8, ), deconv_kernel_sizes=(4, ),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=dict(_base_.codec, heatmap_size=(12, 16))),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
codec = dict(heatmap_size=(12, 16))
pipeline = [*_base_.train_dataloader.dataset.pipeline[:5],
            dict(type='GenerateTarget', encoder=model['head']['decoder']),
            dict(type='PackPoseInputs')]
train_dataloader['dataset']['pipeline'] = pipeline
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [dict(_base_.param_scheduler[0], end=2),
                   _base_.param_scheduler[1]]
"""


@HOOKS.register_module()
class PowerCut(Hook):
    """Ends a training in its second epoch, once."""

    done = False

    def before_train_iter(self, runner, *args, **kwargs):
        if runner.epoch == 1 and not PowerCut.done:
            PowerCut.done = True
            raise InterruptedError


def draw_set(folder, num):
    """Write pictures of noise with 14 joints each, as train and as val."""
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir()
    images, annotations = [], []
    for i in range(num):
        picture = rng.integers(0, 255, (60, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'images/{i}.png'), picture)
        images.append(dict(id=i, file_name=f'{i}.png', height=60, width=48))
        joints = np.full((14, 3), 2.0)
        joints[:, :2] = rng.uniform(5, 40, (14, 2))
        annotations.append(
            dict(id=i, image_id=i, category_id=1, bbox=[2, 2, 44, 52],
                 area=1000.0, iscrowd=0, num_keypoints=14,
                 keypoints=joints.ravel().tolist())
        )  # fmt: skip
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='person')],
    )
    for part in ('train', 'val'):
        (folder / f'{part}.json').write_text(json.dumps(content))


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A folder with the config ``tiny`` of a tiny model on a tiny set."""
    (tmp_path / 'set').mkdir()
    draw_set(tmp_path / 'set', 8)
    text = CONFIG.format(base=runs.CONFIGS, root=tmp_path / 'set')
    (tmp_path / 'tiny.py').write_text(text)
    monkeypatch.setattr(runs, 'CONFIGS', tmp_path)
    return tmp_path


def test_run_that_was_cut_off_ends_as_one_that_was_not(configs):
    """Weights and figures; checkpoints are gone, weights are kept."""
    out = configs / 'out'
    whole, cut = Run('whole', 'tiny', 1, 3), Run('cut', 'tiny', 1, 3)
    training.train(whole, out)
    PowerCut.done = False
    path = configs / 'tiny.py'
    text = path.read_text()
    path.write_text(
        text + "custom_hooks = [*_base_.custom_hooks, dict(type='PowerCut')]\n"
    )
    with pytest.raises(InterruptedError):
        training.train(cut, out)
    assert training.read_result(out / 'cut') is None
    training.train(cut, out)
    found = [training.read_result(out / name) for name in ('whole', 'cut')]
    assert found[0]['metrics'] == found[1]['metrics']
    assert found[0]['metrics']['step'] == 2
    assert found[0]['seed'] == 3
    assert found[0]['samples'] == 8
    assert found[0]['seconds_per_epoch'] > 0
    weights = [
        torch.load(out / name / training.WEIGHTS)['state_dict']
        for name in ('whole', 'cut')
    ]
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key
    assert not list(out.glob('*/epoch_*.pth'))


def test_trial_writes_its_loss_alone(configs):
    """No validation, no weights."""
    trial = Run('tune_tiny_1', 'tiny', 1)
    training.train(trial, configs / 'out')
    result = training.read_result(configs / 'out/tune_tiny_1')
    assert result['loss'] > 0
    assert 'metrics' not in result
    assert not list((configs / 'out').glob('*/*.pth'))


@HOOKS.register_module()
class StopAfterTwoSteps(Hook):
    """Ends a training after its second step."""

    priority = 'VERY_LOW'

    def after_train_iter(self, runner, batch_idx, *args, **kwargs):
        if batch_idx == 1:
            raise InterruptedError(runner.iter)


def plant_weights(name, out):
    """Write random weights of a run."""
    config = training.read_config(runs.RUNS[name], out)
    init_default_scope('mmpose')
    model = MODELS.build(config.model)
    (out / name).mkdir(exist_ok=True)
    torch.save(
        dict(state_dict=model.state_dict()), out / name / training.WEIGHTS
    )


@pytest.mark.slow
@pytest.mark.skipif(not SETS.is_dir(), reason=f'no sets in {SETS}')
@pytest.mark.parametrize(
    'run',
    [run for run in [*runs.ROWS, *runs.CLAIM_RUNS] if run.seed == 1],
    ids=lambda run: run.name,
)
def test_every_run_starts(run, tmp_path, monkeypatch):
    """Two steps on the real pictures, from the weights that it reads."""
    monkeypatch.chdir(runs.ROOT)
    monkeypatch.setattr(training, 'choose_rate', lambda family, out: 1e-3)
    for name in run.needs:
        plant_weights(name, tmp_path)
    read_config = training.read_config

    def read_short_config(run, out):
        config = read_config(run, out)
        hooks = [*config.custom_hooks, dict(type='StopAfterTwoSteps')]
        config.custom_hooks = hooks
        return config

    monkeypatch.setattr(training, 'read_config', read_short_config)
    with pytest.raises(InterruptedError, match='1'):
        training.train(run, tmp_path)

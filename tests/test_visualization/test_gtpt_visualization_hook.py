"""Pictures in a real training: of the average, without a trace in it."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.apis import init_model

from gtpt_mm.visualization import GTPTVisualizationHook, draw_tokens
from gtpt_mm.visualization.gtpt.crops import preprocess

EPOCHS = 3


def run(body_config, work_dir, *hooks):
    cfg = Config.fromfile(body_config)
    cfg.work_dir = str(work_dir)
    # mmengine gives a second visualizer of the same name the first's folder.
    cfg.visualizer.name = str(work_dir)
    cfg.train_cfg.max_epochs = EPOCHS
    cfg.custom_hooks += list(hooks)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def pictures(work_dir):
    return {
        path.name: cv2.imread(str(path))
        for path in work_dir.glob('*/vis_data/vis_image/*.png')
    }


@pytest.fixture(scope='module')
def drawn(body_config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('drawn_run')
    runner = run(
        body_config,
        work_dir,
        dict(type='GTPTVisualizationHook', num_samples=3),
        dict(
            type='GTPTVisualizationHook',
            kind='attention',
            keypoints=['nose', 'left_wrist'],
            interval=2,
            num_samples=1,
        ),
    )
    return work_dir, runner


def test_first_people_are_drawn_at_every_intervalth_validation(drawn):
    work_dir, runner = drawn
    found = pictures(work_dir)
    steps = [runner.iter // EPOCHS * epoch for epoch in (1, 2, 3)]
    names = {
        f'gtpt_pruning_{person}_{step}.png'
        for person in range(3)
        for step in steps
    }
    names |= {f'gtpt_attention_0_{step}.png' for step in steps[::2]}
    assert set(found) == names
    last = [found[name] for name in names if name.endswith(f'_{steps[2]}.png')]
    assert len({picture.tobytes() for picture in last}) == 4


def test_pictures_show_the_average(drawn, body_config):
    """A checkpoint's state_dict is the average, ema_state_dict the model."""
    work_dir, runner = drawn
    found = pictures(work_dir)[f'gtpt_attention_0_{runner.iter}.png']
    path = work_dir / f'epoch_{EPOCHS}.pth'
    saved = torch.load(path, weights_only=True)
    model = init_model(str(body_config), str(path), device='cpu')
    crop = preprocess(model, runner.val_dataloader.dataset[0])
    options = ([crop], 'attention', ['nose', 'left_wrist'])
    average = draw_tokens(model, *options)
    np.testing.assert_array_equal(found, average)
    model.load_state_dict(
        {
            key.removeprefix('module.'): value
            for key, value in saved['ema_state_dict'].items()
            if key.startswith('module.')
        }
    )
    trained = draw_tokens(model, *options)
    assert not np.array_equal(found, trained)


def test_training_goes_on_as_without_pictures(drawn, body_config, tmp_path):
    run(body_config, tmp_path)
    assert not pictures(tmp_path)
    states = [
        torch.load(folder / f'epoch_{EPOCHS}.pth', weights_only=True)
        for folder in (drawn[0], tmp_path)
    ]
    for half in ('state_dict', 'ema_state_dict'):
        ours, theirs = (state[half] for state in states)
        assert set(ours) == set(theirs)
        for key, value in ours.items():
            assert torch.equal(value, theirs[key]), key


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(kind='saliency'), "'saliency'.*'pruning'"),
        (dict(interval=0), 'interval must be positive, got 0'),
        (dict(num_samples=-1), 'num_samples must be positive, got -1'),
        (dict(layers=[3]), r'\[3\]'),
        (dict(kind='shallow', layers=[3, 4]), r'one layer, got \[3, 4\]'),
    ],
)
def test_errors_name_the_value(options, message):
    with pytest.raises(ValueError, match=message):
        GTPTVisualizationHook(**options)

"""What a training on 320 images saves is as good as what it learned."""

import runpy
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

SAMPLE = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)
SMALL_SET = SAMPLE.replace('_1xb16-14e', '_small-set_1xb8-20e')


@pytest.fixture
def starfish(shared_dir, repo_root, tmp_path, base) -> Config:
    """Nine keypoints of drawn starfish; a user's config on the demo's."""
    folder = shared_dir / 'bugs/training'
    draw = runpy.run_path(str(folder / 'draw.py'))['make']
    for split, number, seed in (('train', 320, 0), ('val', 40, 1)):
        draw(split, number, seed, 'data/starfish')
    shutil.copy(folder / 'starfish.py', tmp_path)
    text = (folder / 'gtpt_starfish.py').read_text()
    path = tmp_path / 'gtpt_starfish.py'
    path.write_text(text.replace(f'@ROOT@/{SAMPLE}', str(repo_root / base)))
    return Config.fromfile(path)


@pytest.fixture
def base() -> str:
    """The config that the starfish's inherits."""
    return SAMPLE


@pytest.fixture
def people(repo_root) -> Config:
    """The demo with 320 pictures instead of 2000."""
    from pose_samples import generate

    generate(
        'data/demo',
        ['coco'],
        num_train=320,
        num_val=60,
        difficulty='easy',
        max_people=1,
    )
    return Config.fromfile(repo_root / SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('data', 'least'), [('starfish', 0.3), ('people', 0.05)]
)
def test_average_of_a_short_training(
    data, least, request, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    cfg = request.getfixturevalue(data)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.experiment_name = cfg.visualizer.name = f'short_{data}'
    cfg.train_cfg.val_interval = 7
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.num_workers = 0
        loader.persistent_workers = False
    cfg.custom_hooks[0].validate_trained = True
    runner = Runner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    saved = scalars['val/coco/AP'].current()
    trained = scalars['val/trained/coco/AP'].current()
    print(f'{data}: AP of the average {saved}, of the trained {trained}')
    assert saved >= least
    assert saved > trained - 0.03

    checkpoint = tmp_path / 'run/epoch_14.pth'
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    [ema] = [h.ema_model for h in runner.hooks if hasattr(h, 'ema_model')]
    for name, value in ema.module.state_dict().items():
        assert torch.equal(state[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize('base', [SMALL_SET])
def test_recipe_for_small_sets(base, request, tmp_path, monkeypatch):
    """Half the recipe's epochs: 400 steps of 8 crops, 1.5 core minutes."""
    monkeypatch.chdir(tmp_path)
    cfg = request.getfixturevalue('starfish')
    cfg.work_dir = str(tmp_path / 'run')
    cfg.experiment_name = cfg.visualizer.name = 'small_set'
    cfg.train_cfg.update(max_epochs=10, val_interval=2)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.num_workers = 0
        loader.persistent_workers = False
    runner = Runner.from_cfg(cfg)
    runner.train()
    history = runner.message_hub.get_scalar('val/coco/AP').data[0]
    assert history[-1] >= 0.85

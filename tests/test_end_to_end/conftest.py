"""Real configs on small pictures of a few drawn people."""

from pathlib import Path

import pytest
from mmengine.config import Config

#: Folder of a task's configs, name of one, and the config that is small.
TASKS = {
    'body': (
        'body_2d_keypoint/gtpt',
        'coco/gtpt-{}_4xb64-300e_coco-256x192.py',
        'sample/gtpt-t_1xb16-14e_sample-96x64.py',
    ),
    'wholebody': (
        'wholebody_2d_keypoint/gtpt',
        'coco-wholebody/gtpt-{}_4xb64-300e_coco-wholebody-256x192.py',
        'sample/gtpt-t_1xb16-14e_sample-wholebody-96x64.py',
    ),
}

#: The sample config of Group Pose for a layout.
GROUP_POSE = (
    'configs/body_2d_keypoint/group_pose/sample/'
    'group-pose_res18_1xb8-20e_sample-{}-96x144.py'
)


@pytest.fixture(scope='session')
def group_pose_config(repo_root, tmp_path_factory):
    """Return the sample config of a layout with fewer and smaller layers.

    The data are 12 pictures to train and 4 to validate, of up to 3 people.
    """
    from pose_samples import generate

    root = tmp_path_factory.mktemp('people')
    layouts = ['coco', 'crowdpose']
    generate(root, layouts, 12, 4, max_people=3, image_size=(192, 160))

    def read(layout: str) -> Config:
        cfg = Config.fromfile(repo_root / GROUP_POSE.format(layout))
        cfg.model.head.num_queries = 4
        cfg.model.head.encoder.feedforward_dims = 32
        cfg.model.head.decoder.feedforward_dims = 32
        folder = f'{root / layout}/'
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.num_workers = 0
            loader.persistent_workers = False
            loader.batch_size = 2
            loader.dataset.data_root = folder
        cfg.test_dataloader = cfg.val_dataloader
        ann_file = folder + cfg.val_dataloader.dataset.ann_file
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann_file
        cfg.train_cfg.update(max_epochs=2, val_interval=2)
        cfg.default_hooks.logger.interval = 1
        return cfg

    return read


@pytest.fixture(scope='session')
def data_root(tmp_path_factory):
    """24 training and 6 validation pictures with 17 and 133 keypoints."""
    from pose_samples import generate

    root = tmp_path_factory.mktemp('sample')
    layouts = ['coco', 'coco-wholebody']
    generate(root, layouts=layouts, num_train=24, num_val=6, seed=3)
    return root / 'coco'


@pytest.fixture(scope='session')
def small_config(repo_root, data_root):
    """Return a config by name: ``demo`` or, say, ``wholebody-s``.

    The latter is that of COCO-WholeBody with its model, pipelines, hooks and
    schedule; only the input is small.
    """

    def read(case: str) -> Config:
        task, _, size = case.partition('-')
        folder, name, small = TASKS['body' if case == 'demo' else task]
        folder = repo_root / 'configs' / folder
        cfg = Config.fromfile(folder / small)
        if case != 'demo':
            cfg = _shrink(Config.fromfile(folder / name.format(size)), cfg)
        cfg.train_dataloader.batch_size = 8
        cfg.train_dataloader.dataset.indices = 24
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.num_workers = 0
            loader.persistent_workers = False
            loader.dataset.data_root = str(data_root) + '/'
        cfg.val_dataloader.dataset.bbox_file = str(
            data_root / 'person_detection_results'
            '/COCO_val2017_detections_AP_H_56_person.json'
        )
        cfg.test_dataloader = cfg.val_dataloader
        ann = str(data_root / cfg.val_dataloader.dataset.ann_file)
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann
        cfg.default_hooks.logger.interval = 1
        cfg.default_hooks.checkpoint.interval = 1
        for hook in cfg.get('custom_hooks', []):
            if hook.type == 'CosineEMAHook':
                # So few steps would leave no average beside the weights.
                hook.min_windows = 0
        # Runs in one process must not share a visualizer.
        cfg.visualizer.name = case
        return cfg

    return read


def _shrink(cfg: Config, small: Config) -> Config:
    """Give a config the input size and the patches of a small one."""
    cfg.codec = small.codec
    for key in ('img_size', 'patch_size', 'keep_rates'):
        cfg.model.backbone[key] = small.model.backbone[key]
    cfg.model.head.decoder = small.codec
    for loader in ('train_dataloader', 'val_dataloader'):
        for step in cfg[loader].dataset.pipeline:
            if step.type == 'TopdownAffine':
                step.input_size = small.codec.input_size
            elif step.type == 'GenerateTarget':
                step.encoder = small.codec
    return cfg


@pytest.fixture(scope='session')
def six_datasets(tmp_path_factory):
    """6 training and 2 validation pictures of each dataset of ViTPose++."""
    from pose_samples import generate

    root = tmp_path_factory.mktemp('six')
    generate(
        root,
        ['coco', 'coco-wholebody', 'mpii', 'aic', 'ap10k', 'apt36k'],
        num_train=6,
        num_val=2,
        seed=5,
        difficulty='easy',
        max_people=1,
        image_size=(128, 128),
    )
    return root


@pytest.fixture(scope='session')
def move_data():
    """Return a function that replaces the data's folder in a config."""
    return _move


@pytest.fixture(scope='session')
def six_datasets_cfg(repo_root, six_datasets):
    """Return a function that reads the sample config of ViTPose++.

    Or one made from it. It trains two epochs on the pictures of
    ``six_datasets``.
    """
    name = 'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
    folder = repo_root / 'configs/multi_dataset/vitpose_plus/sample'

    def read(path: Path = folder / name) -> Config:
        cfg = Config.fromfile(path)
        cfg = Config(_move(cfg.to_dict(), 'data/sample/', f'{six_datasets}/'))
        cfg.train_dataloader.batch_size = 16
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.num_workers = 0
            loader.persistent_workers = False
        cfg.test_dataloader = cfg.val_dataloader
        cfg.train_cfg.update(max_epochs=2, val_interval=2)
        cfg.param_scheduler[0].end = 3
        cfg.param_scheduler[1].update(T_max=2, eta_min=0)
        cfg.default_hooks.logger.interval = 1
        # mmengine takes seconds to lay out so large a config for each.
        cfg.default_hooks.checkpoint.interval = 2
        return cfg

    return read


def _move(value, old: str, new: str):
    """Replace the folder of the data in all strings of a config."""
    if isinstance(value, dict):
        return {key: _move(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_move(item, old, new) for item in value)
    return value.replace(old, new) if isinstance(value, str) else value

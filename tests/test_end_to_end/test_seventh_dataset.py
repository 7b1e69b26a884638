"""The config of docs/multi_dataset.md trains a dataset of one's own."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner


@pytest.fixture
def faces(six_datasets, tmp_path):
    """The drawn people of COCO, with the first five of their keypoints."""
    coco, root = six_datasets / 'coco', tmp_path / 'faces'
    (root / 'images').mkdir(parents=True)
    for split in ('train', 'val'):
        source = f'annotations/person_keypoints_{split}2017.json'
        labels = json.loads((coco / source).read_text())
        for person in labels['annotations']:
            person['keypoints'] = person['keypoints'][: 3 * 5]
            person['num_keypoints'] = sum(
                v > 0 for v in person['keypoints'][2::3]
            )
        (root / f'{split}.json').write_text(json.dumps(labels))
        for image in (coco / f'{split}2017').iterdir():
            shutil.copy(image, root / 'images')
    return root


@pytest.fixture
def cfg(faces, six_datasets_cfg, repo_root, tmp_path):
    page = (repo_root / 'docs/multi_dataset.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    [text] = [block for block in blocks if 'num_experts=7' in block]
    name = re.match(r'# (configs/.+\.py)\n', text)[1]
    # A folder of one's own beside those of the repository.
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    (path.parents[1] / 'sample').symlink_to(
        repo_root / 'configs/multi_dataset/vitpose_plus/sample'
    )
    (tmp_path / 'configs/_base_').symlink_to(repo_root / 'configs/_base_')
    path.write_text(text.replace('data/faces/', f'{faces}/'))
    cfg = six_datasets_cfg(path)
    cfg.train_dataloader.batch_size = 64  # everything in one step
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.checkpoint = None
    cfg.visualizer.name = 'seven'
    cfg.work_dir = str(tmp_path / 'work')
    return cfg


def test_one_step_and_evaluation(cfg, monkeypatch):
    # mmengine takes seconds to lay out so large a config for the log.
    monkeypatch.setattr(Config, 'pretty_text', '')
    runner = Runner.from_cfg(cfg)
    own = {
        name: value.clone()
        for name, value in runner.model.named_parameters()
        if '.experts.6.' in name or '.faces.' in name
    }
    runner.train()
    assert runner.iter == 1
    after = dict(runner.model.named_parameters())
    assert own
    for name, value in own.items():
        assert not torch.equal(after[name], value), name
    history = runner.message_hub.log_scalars
    losses, _ = history['train/faces/loss_kpt'].data
    assert np.isfinite(losses).all() and losses[0] > 0
    assert 0 <= history['val/faces/AP'].current() <= 1
    head = runner.model.head.heads['faces']
    assert head.out_channels == 5
    meta = runner.val_dataloader.dataset.metainfo['datasets']['faces']
    assert meta['flip_indices'] == [0, 2, 1, 4, 3]

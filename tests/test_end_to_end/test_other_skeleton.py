"""From transformers to a skeleton of one's own, and back to transformers."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from support.runs import make_runner
from support.tiny_vitpose import CONFIG, make_huggingface

from gtpt_mm.cli import main
from gtpt_mm.config_folder import find_configs
from gtpt_mm.convert import convert_vitpose, read_names

NAMES = ['R_Wrist', 'Snout', 'tail', 'hip_l', 'hip_r', 'LeftAnkle']
IN_COCO = [10, 0, None, 11, 12, 15]
MINE = """
model = dict(head=dict(out_channels=6))
train_cfg = dict(max_epochs=1)
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(
        data_root='{folder}/', ann_file='train.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(from_file='{folder}/metainfo.py')))
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
custom_hooks = [dict(type='EMAHook')]
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Four pictures of noise with one instance each; the config for them."""
    folder = tmp_path_factory.mktemp('mine')
    (folder / 'images').mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(4):
        picture = rng.integers(0, 256, (96, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'images/{i}.png'), picture)
        images.append(dict(id=i, file_name=f'{i}.png', width=80, height=96))
        points = np.c_[rng.uniform(15, 65, (6, 2)), np.full(6, 2)]
        annotations.append(
            dict(
                id=i,
                image_id=i,
                category_id=1,
                bbox=[10, 10, 60, 76],
                area=4560,
                iscrowd=0,
                num_keypoints=6,
                keypoints=points.flatten().tolist(),
            )
        )
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='thing', keypoints=NAMES, skeleton=[])],
    )
    (folder / 'train.json').write_text(json.dumps(content))
    info = dict(
        dataset_name='mine',
        keypoint_info={
            i: dict(name=name, id=i, color=[0, 0, 0], swap='')
            for i, name in enumerate(NAMES)
        },
        skeleton_info={},
        joint_weights=[1.0] * 6,
        sigmas=[0.05] * 6,
    )
    (folder / 'metainfo.py').write_text(f'dataset_info = {info!r}')
    (folder / 'base.py').write_text(CONFIG.format(configs=find_configs()))
    (folder / 'mine.py').write_text(
        f"_base_ = './base.py'\n{MINE.format(folder=folder)}"
    )
    return folder


def read_log(work_dir) -> str:
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


def test_from_transformers_to_my_skeleton_and_back(folder, tmp_path):
    transformers = pytest.importorskip('transformers')
    theirs = make_huggingface()
    theirs.config.id2label = dict(enumerate(read_names('coco')))
    theirs.save_pretrained(tmp_path / 'theirs')
    source = convert_vitpose(theirs.state_dict()).state_dict

    runner = make_runner(
        folder / 'mine.py',
        tmp_path / 'run',
        load_from=str(tmp_path / 'theirs/model.safetensors'),
    )
    [ema] = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    seen = []
    train_step = runner.model.train_step

    def spy(data, optim_wrapper):
        if not seen:
            for model in (runner.model, ema.ema_model.module):
                state = model.state_dict()
                seen.append({k: v.clone() for k, v in state.items()})
        return train_step(data, optim_wrapper)

    runner.model.train_step = spy
    runner.train()
    for state in seen:
        for key, value in source.items():
            if '.final_layer.' not in key:
                assert torch.equal(state[key], value), key
                continue
            for i, j in enumerate(IN_COCO):
                if j is not None:
                    assert torch.equal(state[key][i], value[j]), (key, i)
    log = read_log(tmp_path / 'run')
    assert 'rows of 6 keypoints by name, 5 copied, 1 new' in log
    assert 'names of config.json' in log
    assert 'Of another shape' not in log

    checkpoint = tmp_path / 'run/epoch_1.pth'
    out = tmp_path / 'out'
    assert not main(
        ['convert', str(checkpoint), str(out), '--to', 'huggingface']
    )
    again = transformers.AutoModelForPoseEstimation.from_pretrained(out).eval()
    assert list(again.config.id2label.values()) == NAMES
    init_default_scope('mmpose')
    model = MODELS.build(Config.fromfile(folder / 'mine.py').model).eval()
    saved = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(saved['state_dict'])
    img = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        own = model(img, None, mode='tensor')
        torch.testing.assert_close(
            again(img).heatmaps, own, atol=2e-5, rtol=1e-5
        )
    key = 'backbone.layers.0.attn.qkv.weight'
    assert not torch.equal(saved['state_dict'][key], source[key])  # it trained

    resumed = make_runner(
        folder / 'mine.py',
        tmp_path / 'run',
        load_from=str(checkpoint),
        resume=True,
        train_cfg=dict(by_epoch=True, max_epochs=2),
    )
    resumed.train()
    assert read_log(tmp_path / 'run').count('keypoints by name') == 1


def test_unknown_keypoints_are_asked_for(folder, tmp_path):
    init_default_scope('mmpose')
    cfg = Config.fromfile(folder / 'mine.py')
    cfg.model.head.out_channels = 9
    torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / 'nine.pth')
    load = dict(load_from=str(tmp_path / 'nine.pth'))
    runner = make_runner(folder / 'mine.py', tmp_path / 'a', **load)
    with pytest.raises(ValueError, match=r'nine.pth.*9 keypoints.*source='):
        runner.train()

"""The stock tools in new processes: train, test with the result, resume."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

BASE = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_res50_8xb64-210e_coco-256x192.py'
)
CONFIG = """
_base_ = [{base!r}]
custom_imports = dict(imports=['gtpt_mm'], allow_failed_imports=False)
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    head=dict(in_channels=512, deconv_out_channels=(8, 8, 8)))
train_cfg = dict(max_epochs=1, val_interval=1)
people = dict(data_root='', ann_file={ann!r}, data_prefix=dict(img={img!r}))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, dataset=people, **loader)
val_dataloader = dict(
    batch_size=2, dataset=dict(bbox_file=None, **people), **loader)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={ann!r})
test_evaluator = val_evaluator
default_hooks = dict(
    checkpoint=dict(interval=1),
    visualization=dict(enable=True, interval=1))
"""


def write_people(folder) -> str:
    """Write two noise images with one annotated person each."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for index in range(2):
        image = rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{index}.jpg'), image)
        images.append(
            dict(id=index, file_name=f'{index}.jpg', width=320, height=240)
        )
        keypoints = rng.random((17, 3)) * [300, 220, 0] + [0, 0, 2]
        annotations.append(
            dict(
                id=index + 1,
                image_id=index,
                category_id=1,
                bbox=[10, 10, 250, 200],
                area=50000.0,
                iscrowd=0,
                num_keypoints=17,
                keypoints=keypoints.ravel().tolist(),
            )
        )
    path = folder / 'people.json'
    category = dict(id=1, name='person', keypoints=[], skeleton=[])
    path.write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=[category])
        )
    )
    return str(path)


@pytest.mark.slow
def test_mim_trains_tests_and_resumes(tmp_path, repo_root):
    config = tmp_path / 'config.py'
    annotations = write_people(tmp_path)
    config.write_text(
        CONFIG.format(base=BASE, ann=annotations, img=f'{tmp_path}/')
    )

    def mim(command: str, *args: str) -> str:
        done = subprocess.run(
            [
                *(sys.executable, '-m', 'mim', command, 'mmpose'),
                *(str(config), '--work-dir', str(tmp_path / 'work'), *args),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                'PYTHONPATH': str(repo_root),
            },
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    mim('train')
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    assert checkpoint.is_file()
    drawings = [*(tmp_path / 'work').rglob('vis_image/*.png')]
    assert drawings, 'the visualization hook drew nothing'
    assert 'coco/AP' in mim('test', '--checkpoint', str(checkpoint))
    mim('train', '--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    assert (tmp_path / 'work' / 'epoch_2.pth').is_file()

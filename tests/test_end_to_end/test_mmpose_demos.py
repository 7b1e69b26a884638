"""mmpose's own demo scripts through ``gtpt-mm run``."""

import subprocess
import sys

import cv2
import pytest
from support.stock_inference import CONFIGS, draw_noise


def _run(*words):
    done = subprocess.run(
        [sys.executable, '-m', 'gtpt_mm', 'run', *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_inferencer_demo(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), draw_noise(100, 80))
    _run(
        'inferencer_demo.py', tmp_path / 'a.png', '--pose2d',
        CONFIGS['vitpose'], '--det-model', 'whole_image', '--device', 'cpu',
        '--vis-out-dir', tmp_path / 'out',
    )  # fmt: skip
    assert cv2.imread(str(tmp_path / 'out/a.png')).shape == (100, 80, 3)


@pytest.mark.slow
def test_image_and_bottomup_demo(tmp_path):
    import torch
    from mmengine.config import Config
    from mmpose.apis import init_model

    cv2.imwrite(str(tmp_path / 'a.png'), draw_noise(100, 80))
    for script, name, *options in (
        ('image_demo.py', 'vitpose', '--out-file', tmp_path / 'image.png'),
        ('bottomup_demo', 'group_pose', '--output-root', tmp_path / 'out'),
    ):
        weights = tmp_path / f'{name}.pth'
        model = init_model(Config.fromfile(CONFIGS[name]))
        torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
        image = [tmp_path / 'a.png']
        files = [CONFIGS[name], weights]
        if name == 'vitpose':
            words = [*image, *files]
        else:
            words = [*files, '--input', *image]
        _run(script, *words, *options, '--device', 'cpu')
    assert cv2.imread(str(tmp_path / 'image.png')) is not None
    assert cv2.imread(str(tmp_path / 'out/a.png')) is not None

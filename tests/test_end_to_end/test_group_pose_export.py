"""The ONNX export that the documentation tells, run as it stands there."""

import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

CONFIG = 'coco/{}group-pose_res50_8xb2-60e_coco-800x1333.py'
SMALL = 'group-pose_res18_*_sample-coco-*.py'  # as its size may change
#: In the code of the page the path is two strings.
JOINT = "'\n    '"


def run_page(repo_root, folder, monkeypatch, replace: dict[str, str]) -> dict:
    """Run the page's code in a folder with weights; return its names."""
    page = (repo_root / 'docs/models/group_pose.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    [code] = [block for block in blocks if 'export_model(' in block]
    for old, new in replace.items():
        assert old in code
        code = code.replace(old, new)
    path = re.search(r"'(configs.*?\.py)'", code, re.DOTALL)[1]
    path = repo_root / path.replace(JOINT, '')
    init_default_scope('mmpose')
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.head.init_weights()
    for name, parameter in model.head.named_parameters():
        if 'mlp' in name or 'sampling_offsets.weight' in name:
            torch.nn.init.normal_(parameter, std=0.05)
    torch.save(model.state_dict(), folder / 'group_pose_r50.pth')
    (folder / 'configs').symlink_to(repo_root / 'configs')
    monkeypatch.chdir(folder)
    names = {}
    exec(compile(code, 'group_pose.md', 'exec'), names)
    return names


def assert_runtime_agrees(folder, model, shapes: list[tuple]) -> None:
    """The file reads images of other sizes and batches than the tracer's."""
    onnxruntime = pytest.importorskip('onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file = str(folder / 'group_pose.onnx')
    session = onnxruntime.InferenceSession(file, options)
    outputs = [output.name for output in session.get_outputs()]
    assert outputs == ['logits', 'keypoints']
    for batch, height, width in shapes:
        images = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = model(images, None, mode='tensor')
        actual = session.run(outputs, {'images': images.numpy()})
        for own, other in zip(actual, expected, strict=True):
            assert other.std() > 1e-3
            np.testing.assert_allclose(own, other, atol=1e-4)


def test_small_model_by_the_page(repo_root, tmp_path, monkeypatch):
    pytest.importorskip('onnx')
    folder = repo_root / 'configs/body_2d_keypoint/group_pose/sample'
    [path] = folder.glob(SMALL)
    small = {CONFIG.format(JOINT): f'sample/{JOINT}{path.name}'}
    names = run_page(repo_root, tmp_path, monkeypatch, small)
    shapes = [(1, 96, 144), (2, 144, 96), (3, 101, 130), (1, 128, 64)]
    assert_runtime_agrees(tmp_path, names['model'], shapes)


@pytest.mark.slow
def test_full_model_by_the_page(repo_root, tmp_path, monkeypatch):
    """ResNet-50 at 480x800 and in a batch, all 100 poses."""
    pytest.importorskip('onnx')
    names = run_page(repo_root, tmp_path, monkeypatch, {})
    shapes = [(1, 480, 800), (2, 224, 160)]
    assert_runtime_agrees(tmp_path, names['model'], shapes)

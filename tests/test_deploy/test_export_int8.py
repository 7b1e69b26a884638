"""The export command in int8: checked, and with AP on annotated pictures."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmpose.apis import inference_topdown
from support.stock_inference import small_config

from gtpt_mm.apis.export import export
from gtpt_mm.apis.model_names import load_model
from gtpt_mm.deploy import export_model
from gtpt_mm.deploy.metadata import read_metadata

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')
BOXES = ((20, 10, 60, 90), (30, 25, 50, 60))


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    made = load_model(small_config('vitpose'), 'random', 'cpu')
    torch.nn.init.normal_(made.head.final_layer.weight, std=0.3)
    return made.eval()


@pytest.fixture(scope='module')
def annotated(model, tmp_path_factory):
    """Write pictures, annotated by stock mmpose with the model itself."""
    folder = tmp_path_factory.mktemp('annotated')
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(3):
        noise = rng.integers(0, 255, (9, 12, 3), np.uint8)
        image = cv2.resize(noise, (120, 110), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f'{i}.png'), image)
        images.append(dict(id=i, file_name=f'{i}.png', width=120, height=110))
        for x, y, w, h in BOXES:
            box = np.array([[x, y, x + w, y + h]], np.float32)
            [found] = inference_topdown(model, image, box)
            points = found.pred_instances.keypoints[0]
            triples = np.column_stack([points, np.full(len(points), 2)])
            annotations.append(
                dict(
                    id=len(annotations) + 1, image_id=i, category_id=1,
                    iscrowd=0, bbox=[x, y, w, h], area=w * h,
                    keypoints=triples.ravel().tolist(),
                    num_keypoints=len(points),
                )
            )  # fmt: skip
    category = dict(id=1, name='person')
    content = dict(
        images=images, annotations=annotations, categories=[category]
    )
    (folder / 'val.json').write_text(json.dumps(content))
    return folder


def test_int8_states_its_loss_in_pixels_and_ap(model, annotated, tmp_path):
    made = export(
        model,
        file=tmp_path / 'int8.onnx',
        precision='int8',
        flip_test=bool(model.test_cfg.get('flip_test')),
        annotations=annotated / 'val.json',
        tolerance_px=100,
    )
    plain = export_model(model, tmp_path / 'a.onnx', portable=True).file
    assert made.file.stat().st_size < plain.stat().st_size
    assert read_metadata(made.file).precision == 'int8'
    operators = {node.op_type for node in onnx.load(made.file).graph.node}
    assert 'Attention' in operators and 'Softmax' not in operators
    assert 0 < made.report.mean_px < made.report.max_px
    quantized, ap = made.notes
    assert quantized.startswith('int8: ') and ' products, ' in quantized
    words = ap.split()
    assert words[0] == 'AP' and ap.endswith('torch 1.000 (6 annotated boxes)')
    assert 0 < float(words[1].rstrip(',')) <= 1


def test_int8_fails_beyond_half_a_pixel(model, annotated, tmp_path):
    made = export(
        model, file=tmp_path / 'a.onnx', precision='int8', pictures=annotated
    )
    assert made.report.tolerance_px == 0.5
    assert made.report.passed == (made.report.mean_px <= 0.5)


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(file='a.onnx'), 'int8 needs pictures'),
        (dict(file='a.xml', format='openvino'), 'int8 is for the format onnx'),
    ],
)
def test_bad_input(options, words, model, tmp_path):
    options['file'] = tmp_path / options['file']
    with pytest.raises(ValueError, match=words):
        export(model, precision='int8', **options)
    with pytest.raises(ValueError, match='int8'):
        export_model(model, precision='int8', **options)


def test_a_missing_picture_is_named(model, annotated, tmp_path):
    text = (annotated / 'val.json').read_text()
    (tmp_path / 'val.json').write_text(text)
    with pytest.raises(ValueError, match=r'0\.png is missing or not a pic'):
        export(
            model,
            file=tmp_path / 'a.onnx',
            annotations=tmp_path / 'val.json',
        )

"""Half precision moves keypoints by little, however it is asked for.

Random weights have many peaks that are nearly equal, which no rounding
leaves in their order. So the last layer is made to answer with one clear peak
for each keypoint, as a trained one does.
"""

import numpy as np
import pytest
import torch
from support.inference import BOTTOM_UP, TOP_DOWN, draw_images, small_model
from torch import nn

from gtpt_mm.apis import PoseInferencer, Predictor

PLUS = (
    'configs/multi_dataset/vitpose_plus/sample/'
    'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
)
BODY = {**TOP_DOWN, 'vitpose-plus': PLUS}
#: Pixels within which nine of ten keypoints stay, bfloat16 and float16, in a
#: box of 120 x 160. HEViTPose: pixels of its heatmap, which are 3 of these.
LIMITS = {
    'gtpt': (0.5, 0.5),
    'gtpt-wholebody': (0.5, 0.5),
    'vitpose': (0.5, 0.1),
    'vitpose-plus': (0.5, 0.1),
    'hevitpose': (5, 3.2),
}
WAYS = ('argument', 'to', 'autocast')
[IMAGE] = draw_images((180, 140))
BOX = np.float32([[10, 10, 130, 170]])


def sharpen(model: nn.Module) -> nn.Module:
    """Give each keypoint one clear peak in ``IMAGE``."""
    head = model.head
    head = head.heads['coco'] if hasattr(head, 'heads') else head
    inputs = {}
    layers = [
        (name, getattr(head, name))
        for name in ('final_layer', 'fc_x', 'fc_y')
        if hasattr(head, name)
    ]
    hooks = [
        layer.register_forward_hook(
            lambda _, x, __, name=name: inputs.setdefault(name, x[0])
        )
        for name, layer in layers
    ]
    data = dict(inputs=torch.from_numpy(crop(model)), data_samples=[])
    images = model.data_preprocessor(data)['inputs']
    with torch.no_grad():
        head.forward(_features(model, images))
    for hook in hooks:
        hook.remove()
    for name, layer in layers:
        layer.bias.data.zero_()
        if isinstance(layer, nn.Linear):  # tokens to bins
            tokens = inputs[name][0]
            bins = torch.arange(len(tokens)) * 7 % len(layer.weight)
            peaks = 12.0 * torch.eye(len(layer.weight))[bins].T
            layer.weight.data = peaks @ torch.linalg.pinv(tokens).T
        else:
            feats = inputs[name][0].flatten(1).T  # (pixels, C)
            feats = feats - feats.mean(0)
            cov = feats.T @ feats / len(feats) + 1e-6 * torch.eye(
                feats.shape[1]
            )
            white = torch.linalg.solve(cov, feats.T).T
            size = (white * feats).sum(1)
            chosen = size.argsort(descending=True)[: len(layer.weight)]
            rows = white[chosen] / size[chosen, None]
            layer.weight.data = rows[..., None, None]
    return model


def crop(model: nn.Module) -> np.ndarray:
    """Return the crop of ``BOX`` as the predictor makes it, (1, 3, h, w)."""
    engine = Predictor(model).build()
    crops, _ = engine.crop([IMAGE], BOX, np.ones(1, np.float32))
    return crops.numpy()


def _features(model: nn.Module, images: torch.Tensor) -> tuple:
    if hasattr(model.head, 'heads'):
        counts = (1, *[0] * (len(model.head.heads) - 1))
        return model.extract_feat(images, counts)
    return model.extract_feat(images)


def predict(model: nn.Module, way: str, kind: torch.dtype) -> dict:
    inputs = dict(images=[IMAGE])
    dtype = str(kind) if way == 'argument' else 'auto'
    if way == 'to':
        model = model.to(kind)
    predictor = Predictor(model, dtype=dtype, flip_test=False)
    if predictor.needs_boxes:
        inputs['boxes'] = [BOX]
    with torch.autocast('cpu', kind, enabled=way == 'autocast'):
        return predictor(inputs)


@pytest.mark.parametrize('kind', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('name', BODY)
def test_top_down_in_half_precision(name, kind):
    model = sharpen(small_model(BODY[name]))
    expected = predict(model, '', torch.float32)['keypoints']
    assert len(np.unique(expected.round(), axis=1)[0]) >= 3
    limit = LIMITS[name][kind == torch.float16]
    for way in sorted(WAYS):  # 'to' changes the model: last
        found = predict(model, way, kind)
        assert found['keypoints'].dtype == np.float32
        apart = np.abs(found['keypoints'] - expected).max(-1)
        print('APART', name, kind, way, np.quantile(apart, [0.5, 0.9, 1]))
        assert np.quantile(apart, 0.9) <= limit, way


@pytest.mark.parametrize('kind', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('name', BOTTOM_UP)
def test_bottom_up_in_half_precision(name, kind):
    """People of nearly equal scores swap: each has one near in float32."""
    model = small_model(BOTTOM_UP[name])
    expected = predict(model, '', torch.float32)['keypoints']
    for way in sorted(WAYS):
        found = predict(model, way, kind)['keypoints']
        assert np.isfinite(found).all() and len(found)
        apart = np.abs(found[:, None] - expected[None]).max(-1)
        apart = np.median(apart, axis=-1).min(1)
        print('APART', name, kind, way, np.quantile(apart, [0.5, 0.9, 1]))
        assert np.median(apart) <= (0.5 if name == 'group-pose' else 2), way


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_the_inferencer_takes_it_too(dtype):
    model = sharpen(small_model(TOP_DOWN['vitpose']))
    [expected] = PoseInferencer(model)([IMAGE], [BOX])
    [found] = PoseInferencer(model, dtype=dtype)([IMAGE], [BOX])
    with torch.autocast('cpu', getattr(torch, dtype)):
        [cast] = PoseInferencer(model)([IMAGE], [BOX])
    for result in (found, cast):
        apart = np.abs(result.keypoints - expected.keypoints).max(-1)
        assert np.median(apart) <= 2

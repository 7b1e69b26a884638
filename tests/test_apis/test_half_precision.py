"""Half precision moves keypoints by little, however it is asked for."""

import numpy as np
import pytest
import torch
from support.inference import BOTTOM_UP, BOXES, IMAGES, TOP_DOWN, small_model

from gtpt_mm.apis import Predictor

PLUS = (
    'configs/multi_dataset/vitpose_plus/sample/'
    'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
)
MODELS = {**TOP_DOWN, **BOTTOM_UP, 'vitpose-plus': PLUS}
WAYS = ('argument', 'to', 'autocast')


def predict(model, way: str, kind: torch.dtype) -> dict:
    inputs = dict(images=IMAGES, boxes=BOXES)
    if way == 'argument':
        return Predictor(model, dtype=str(kind))(inputs)
    if way == 'to':
        return Predictor(model.to(kind))(inputs)
    with torch.autocast('cpu', kind):
        return Predictor(model)(inputs)


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('kind', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('name', MODELS)
def test_half_precision(name, kind, way):
    model = small_model(MODELS[name])
    expected = Predictor(model)(dict(images=IMAGES, boxes=BOXES))
    found = predict(model, way, kind)
    assert found['keypoints'].dtype == np.float32
    for key in ('keypoints', 'scores', 'boxes'):
        assert np.isfinite(found[key]).all()
    line = [name, kind, way, len(expected['keypoints'])]
    if len(found['keypoints']) == len(expected['keypoints']):
        apart = np.abs(found['keypoints'] - expected['keypoints']).max(-1)
        line += [np.quantile(apart, [0.5, 0.75, 0.9, 0.95, 1]).round(3)]
    print('APART', *line, len(found['keypoints']))

"""Numbers of the predictor beside mmpose's own, one person at a time."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mmpose
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpose.apis import inference_bottomup, inference_topdown, init_model
from support.configs import read_config, shrink
from support.inference import BOTTOM_UP, BOXES, IMAGES, TOP_DOWN, small_model

from gtpt_mm.apis import Predictor
from gtpt_mm.apis.network import explained_errors
from gtpt_mm.apis.prepared_model import prepare_model
from gtpt_mm.apis.topdown import AffineCropper, PipelineCropper, make_cropper


def one_by_one(model) -> np.ndarray:
    return np.concatenate(
        [
            inference_topdown(model, image, box[None])[
                0
            ].pred_instances.keypoints
            for image, boxes in zip(IMAGES, BOXES, strict=True)
            for box in boxes
        ]
    )


@pytest.mark.parametrize('flip_test', [True, False])
@pytest.mark.parametrize('path', TOP_DOWN.values(), ids=TOP_DOWN)
@pytest.mark.parametrize(
    'dtype, limit', [('float32', 1e-2), ('float64', 1e-6)]
)
def test_top_down_is_one_by_one(path, dtype, limit, flip_test):
    model = small_model(path, getattr(torch, dtype))
    model.test_cfg = {**model.test_cfg, 'flip_test': flip_test}
    expected = one_by_one(model)
    predict = Predictor(model, batch_size=3)
    found = predict(dict(images=IMAGES, boxes=BOXES))
    assert found['image_index'].tolist() == [0, 0, 0, 2]
    apart = np.abs(found['keypoints'] - expected).max(-1)
    assert (apart <= limit).mean() >= 0.999, apart.max()
    np.testing.assert_array_equal(found['boxes'], np.concatenate(BOXES))
    assert found['scores'].shape == expected.shape[:2]
    assert len(np.unique(found['keypoints'], axis=1)) > 1


@pytest.mark.parametrize('path', BOTTOM_UP.values(), ids=BOTTOM_UP)
@pytest.mark.parametrize(
    'dtype, limit', [('float32', 1e-2), ('float64', 1e-6)]
)
def test_bottom_up_is_one_by_one(path, dtype, limit):
    model = small_model(path, getattr(torch, dtype))
    images = [IMAGES[0], IMAGES[2], IMAGES[0][:, ::-1].copy()]
    expected = [inference_bottomup(model, i)[0].pred_instances for i in images]
    found = Predictor(model, batch_size=2)(dict(images=images))
    counts = [len(e.keypoints) for e in expected]
    assert np.bincount(found['image_index'], minlength=3).tolist() == counts
    assert sum(counts) > 3
    keypoints = np.concatenate([e.keypoints for e in expected])
    apart = np.abs(found['keypoints'] - keypoints).max(-1)
    # Heatmaps of random weights have nearly equal maxima.
    assert (apart <= limit).mean() >= 0.99, apart.max()


STOCK = {
    # Other codecs and heads; the last has a pipeline of its own below.
    'rtmpose': 'rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py',
    'regression': 'topdown_regression/coco/'
    'td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192.py',
    'mspn': 'topdown_heatmap/coco/td-hm_mspn50_8xb32-210e_coco-256x192.py',
}


def stock_model(name: str):
    folder = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint'
    cfg = Config.fromfile(folder / STOCK[name])
    return init_model(cfg, device='cpu')


@pytest.mark.parametrize('name', STOCK)
def test_stock_models_are_one_by_one(name):
    model = stock_model(name)
    expected = one_by_one(model)
    found = Predictor(model, batch_size=4)(dict(images=IMAGES, boxes=BOXES))
    apart = np.abs(found['keypoints'] - expected).max(-1)
    assert (apart <= 1e-2).mean() >= 0.999, apart.max()


@pytest.mark.parametrize('use_udp', [False, True])
def test_both_croppers_make_the_same_crops(use_udp):
    model = small_model(TOP_DOWN['vitpose'])
    steps = model.cfg.test_dataloader.dataset.pipeline
    steps[2].use_udp = use_udp
    pipeline = Compose(steps)
    fast = make_cropper(pipeline, model.dataset_meta)
    assert type(fast) is AffineCropper
    plain = PipelineCropper(pipeline, model.dataset_meta)
    arguments = ([IMAGES[0]] * 3, BOXES[0], np.float32([1, 0.5, 1]))
    crops, samples = fast(*arguments)
    expected, same = plain(*arguments)
    assert torch.equal(crops, torch.stack(expected))
    for one, other in zip(samples, same, strict=True):
        for key in ('input_center', 'input_scale', 'input_size'):
            np.testing.assert_array_equal(one.get(key), other.get(key))
        for key in ('bboxes', 'bbox_scores'):
            pair = [s.gt_instances[key] for s in (one, other)]
            np.testing.assert_array_equal(*pair)
    # Any other step is run by the pipeline itself.
    steps.insert(1, dict(type='GetBBoxCenterScale', padding=1.1))
    other = make_cropper(Compose(steps), model.dataset_meta)
    assert type(other) is PipelineCropper


def test_a_pipeline_of_its_own_is_kept():
    """A model whose crops are not those of the usual steps."""
    model = small_model(TOP_DOWN['gtpt'])
    steps = model.cfg.test_dataloader.dataset.pipeline
    plain = one_by_one(model)
    # Applied twice, the padding counts twice.
    steps.insert(1, dict(type='GetBBoxCenterScale', padding=1.3))
    expected = one_by_one(model)
    found = Predictor(model)(dict(images=IMAGES, boxes=BOXES))
    assert np.abs(plain - expected).max() > 1
    assert np.abs(found['keypoints'] - expected).max() < 1e-2


# ------------------------------------------------------- processes, threads


def test_pickled_predictors_predict_the_same():
    model = small_model(TOP_DOWN['gtpt'])
    predict = Predictor(model, batch_size=2, flip_test=False)
    inputs = dict(images=IMAGES, boxes=BOXES)
    expected = predict(inputs)
    copy = pickle.loads(pickle.dumps(predict))
    assert copy._engine is None  # built where it is used
    for key, values in copy(inputs).items():
        np.testing.assert_array_equal(values, expected[key])


def test_threads_build_one_model(monkeypatch):
    model = small_model(TOP_DOWN['gtpt'])
    built = []

    def prepare(**arguments):
        built.append(arguments)
        return prepare_model(**arguments)

    monkeypatch.setattr('gtpt_mm.apis.predictor.prepare_model', prepare)
    predict = Predictor(model)
    inputs = dict(images=IMAGES, boxes=BOXES)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(predict, [inputs] * 6))
    assert len(built) == 1
    for other in found[1:]:
        np.testing.assert_array_equal(
            found[0]['keypoints'], other['keypoints']
        )


# --------------------------------------------------------- errors, arguments


def test_given_models_stay_as_they_are():
    model = small_model(TOP_DOWN['vitpose']).train()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    inputs = dict(images=IMAGES, boxes=BOXES)
    Predictor(model, dtype='bfloat16', flip_test=False)(inputs)
    assert model.training and model.test_cfg['flip_test']
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


@pytest.mark.parametrize(
    'device, words',
    [
        ('gpu', "there is no device 'gpu'; take 'auto'"),
        ('cuda:99', f"'cuda:99' is not there: torch {torch.__version__} sees"),
    ],
)
def test_devices_that_are_not_there(device, words):
    with pytest.raises(ValueError, match=words.replace('+', r'\+')):
        prepare_model('gtpt-t', 'random', None, device, 'auto', None)


def test_flip_test_overrides_the_config():
    model = small_model(TOP_DOWN['gtpt'])
    inputs = dict(images=IMAGES, boxes=BOXES)
    plain = Predictor(model, flip_test=False)(inputs)
    assert not np.array_equal(
        plain['scores'], Predictor(model)(inputs)['scores']
    )
    model.test_cfg = {**model.test_cfg, 'flip_test': False}
    np.testing.assert_allclose(
        one_by_one(model), plain['keypoints'], atol=0.01
    )


def test_nobody_gives_empty_arrays():
    predict = Predictor(small_model(TOP_DOWN['gtpt']))
    for boxes in ([], np.zeros((0, 4))):
        found = predict(dict(images=IMAGES[:1], boxes=[boxes]))
        assert found['keypoints'].shape == (0, 17, 2)
        assert found['scores'].shape == (0, 17)
    assert predict(dict(images=[], boxes=[]))['boxes'].shape == (0, 4)


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(dtype='int8'), "dtype must be .* got 'int8'"),
        (dict(runtime='tvm'), "runtime .* 'tvm'"),
        (dict(batch_size=0), 'batch_size .* 0'),
        (dict(weights='x.pth'), 'has its weights'),
    ],
)
def test_wrong_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        Predictor(torch.nn.Linear(1, 1), **options)


def test_wrong_batches():
    with pytest.raises(ValueError, match='no cfg and no dataset_meta'):
        Predictor(torch.nn.Linear(1, 1)).build()
    predict = Predictor(small_model(TOP_DOWN['gtpt']))
    image = IMAGES[0]
    for batch, words in [
        (dict(images=[image]), "needs 'boxes'"),
        (dict(images=[image], boxes=[]), '1 images have 0 arrays'),
        (dict(images=[image[..., 0]], boxes=[[]]), r'images\[0\] .*uint8'),
        (dict(images=[image / 255], boxes=[[]]), r'images\[0\] .*float64'),
        (dict(images=[image], boxes=[[[9, 9, 5, 20]]]), 'reversed'),
        (dict(images=[image], boxes=[[[0, 0, np.nan, 2]]]), 'not finite'),
        # Twenty numbers are five boxes as well.
        (dict(images=[image], boxes=[[[1, 2, 9, 9, 1]] * 4]), r'\(4, 5\)'),
        (dict(images=[image], boxes=[[]], bbox_scores=[]), "'bbox_scores'"),
    ]:
        with pytest.raises(ValueError, match=words):
            predict(batch)


def test_overflow_is_an_error():
    try:
        torch.nn.Conv2d(1, 1, 1).half()(torch.zeros(1, 1, 1, 1).half())
    except RuntimeError as error:  # torch 2.1
        pytest.skip(f'no convolution in float16 on this CPU: {error}')
    model = small_model(TOP_DOWN['vitpose'])
    model.head.final_layer.weight.data.fill_(6e4)
    predict = Predictor(model, dtype='float16')
    with pytest.raises(ValueError, match='not finite, in torch.float16'):
        predict(dict(images=IMAGES, boxes=BOXES))


def test_random_weights_are_a_warning(monkeypatch):
    warnings = []
    monkeypatch.setattr('gtpt_mm.apis.model_names.warn', warnings.append)
    cfg = read_config(TOP_DOWN['gtpt'])
    cfg.model = shrink(cfg.model)
    predict = pickle.loads(pickle.dumps(Predictor(cfg, 'random')))
    assert not warnings
    assert predict.needs_boxes and predict.skeleton.names[0] == 'nose'
    assert len(warnings) == 1 and 'random weights' in warnings[0]


def test_one_dataset_of_several():
    model = small_model(
        'configs/multi_dataset/vitpose_plus/sample/'
        'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
    )
    for dataset, num in ((None, 17), ('mpii', 16)):
        predict = Predictor(model, dataset=dataset)
        found = predict(dict(images=IMAGES, boxes=BOXES))
        assert found['keypoints'].shape == (4, num, 2)
        assert len(predict.skeleton.names) == num
    with pytest.raises(ValueError, match='birds'):
        Predictor(model, dataset='birds').build()


def test_missing_operators_are_explained():
    model = small_model(TOP_DOWN['gtpt'], torch.float16)
    words = 'GTPT does not run in torch.float16 on cpu: .*float32'
    with (
        pytest.raises(NotImplementedError, match=words),
        explained_errors(model),
    ):
        raise RuntimeError('"erf" not implemented for \'Half\'')
    with pytest.raises(RuntimeError, match='shape'), explained_errors(model):
        raise RuntimeError('shape')

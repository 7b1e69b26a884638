"""Numbers of the predictor beside mmpose's own, one person at a time."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpose.apis import inference_bottomup, inference_topdown, init_model
from support.configs import read_config, shrink

from gtpt_mm.apis import Predictor
from gtpt_mm.apis.prepared_model import prepare_model
from gtpt_mm.apis.topdown import AffineCropper, PipelineCropper, make_cropper

BODY = 'configs/body_2d_keypoint'
TOP_DOWN = {
    'gtpt': f'{BODY}/gtpt/coco/gtpt-t_4xb64-300e_coco-256x192.py',
    'gtpt-wholebody': 'configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
    'gtpt-t_4xb64-300e_coco-wholebody-256x192.py',
    'vitpose': f'{BODY}/vitpose/coco/'
    'td-hm_vitpose-s_8xb64-210e_coco-256x192.py',
    'hevitpose': f'{BODY}/hevitpose/coco/'
    'td-hm_hevitpose-t_2xb32-210e_coco-256x192.py',
}
BOTTOM_UP = {
    'vitpose-ae': f'{BODY}/vitpose/sample/'
    'ae_vitpose-tiny_1xb8-14e_sample-128x128.py',
    'group-pose': f'{BODY}/group_pose/sample/'
    'group-pose_res18_1xb8-20e_sample-coco-96x144.py',
}


def small_model(path: str, dtype=torch.float32):
    """Return a narrow model whose outputs differ from keypoint to keypoint."""
    cfg = read_config(path)
    cfg.model = shrink(cfg.model)
    model = init_model(cfg, device='cpu')
    generator = torch.Generator().manual_seed(1)
    for name, value in model.head.named_parameters():
        if 'final_layer' in name or 'fc_' in name:
            value.data.normal_(0, 0.3, generator=generator)
        elif value.ndim == 4 and 'deconv' in name:
            # Smooth heatmaps, as of trained weights: subpixel steps at the
            # peaks of noise, or between equal pixels, prove nothing.
            ramp = torch.tensor([0.25, 0.8, 0.7, 0.2])
            mix = torch.randn(value.shape[:2], generator=generator)
            value.data = mix[..., None, None] * torch.outer(ramp, ramp)
    return model.to(dtype)


def draw_images(*sizes) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (9, 9, 3), np.uint8) for _ in sizes]
    return [
        cv2.resize(s, (w, h), interpolation=cv2.INTER_CUBIC)
        for s, (h, w) in zip(small, sizes, strict=True)
    ]


IMAGES = draw_images((150, 200), (120, 90), (80, 100))
BOXES = [
    np.array([[10, 20, 90, 140], [-9.5, 3.3, 60, 150.7], [80, 0, 260, 70]]),
    np.zeros((0, 4)),
    np.array([[5, 5, 6.5, 70]]),
]
BOXES = [box.astype(np.float32) for box in BOXES]


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
    assert (apart <= limit).mean() >= 0.999, apart.max()


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


# ------------------------------------------------------------ half precision

#: Pixels that keypoints may move on crops of about 100 pixels: bins of the
#: heatmap, half a pixel of the input at GTPT.
LIMITS = {'bfloat16': 0.5, 'float16': 0.1}


@pytest.mark.parametrize('way', ['argument', 'to', 'autocast'])
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
@pytest.mark.parametrize(
    'path',
    [*TOP_DOWN.values(), *BOTTOM_UP.values()],
    ids=[*TOP_DOWN, *BOTTOM_UP],
)
def test_half_precision(path, dtype, way):
    """Most keypoints stay; noise of random weights has equal peaks."""
    model = small_model(path)
    inputs = dict(images=IMAGES, boxes=BOXES)
    expected = Predictor(model)(inputs)
    kind = getattr(torch, dtype)
    if way == 'argument':
        found = Predictor(model, dtype=dtype)(inputs)
    elif way == 'to':
        found = Predictor(model.to(kind))(inputs)
    else:
        with torch.autocast('cpu', kind):
            found = Predictor(model)(inputs)
    assert found['keypoints'].dtype == np.float32
    for key in ('keypoints', 'scores', 'boxes'):
        assert np.isfinite(found[key]).all()
    print(
        path[-30:],
        dtype,
        way,
        len(expected['keypoints']),
        len(found['keypoints']),
    )
    if len(found['keypoints']) == len(expected['keypoints']):
        apart = np.abs(found['keypoints'] - expected['keypoints']).max(-1)
        print('APART', np.quantile(apart, [0.5, 0.75, 0.9, 0.95, 1]))


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
    ]:
        with pytest.raises(ValueError, match=words):
            predict(batch)


def test_overflow_is_an_error_and_random_weights_are_a_warning():
    model = small_model(TOP_DOWN['vitpose'])
    model.head.final_layer.weight.data.fill_(6e4)
    predict = Predictor(model, dtype='float16')
    with pytest.raises(ValueError, match='not finite, in torch.float16'):
        predict(dict(images=IMAGES, boxes=BOXES))
    cfg = read_config(TOP_DOWN['gtpt'])
    cfg.model = shrink(cfg.model)
    with pytest.warns(UserWarning, match='random weights'):
        Predictor(cfg, 'random').build()

"""Predictors with other runtimes beside torch, on small models."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from support.fill import sharpen_head
from support.inference import BOTTOM_UP, BOXES, IMAGES, TOP_DOWN, small_model

from gtpt_mm.apis import PoseInferencer, Predictor, chosen_runtime
from gtpt_mm.apis.network import TorchNetwork, with_network
from gtpt_mm.apis.uncertainty import MeasuringPredictor
from gtpt_mm.deploy import cache, runtimes
from gtpt_mm.deploy.cache import ExportError
from gtpt_mm.deploy.runtimes import NETWORKS, OnnxNetwork

ONNX = 'onnxruntime'
pytest.importorskip(ONNX)
MODELS_OF = {**TOP_DOWN, 'group-pose': BOTTOM_UP['group-pose']}
#: Models whose export takes longer than all other tests of this file.
SLOW = {
    (runtime, name)
    for runtime in NETWORKS
    for name in MODELS_OF
    if (runtime, name)
    not in {(ONNX, 'gtpt'), (ONNX, 'vitpose'), ('openvino', 'vitpose')}
}


@pytest.fixture(scope='module', autouse=True)
def folder(tmp_path_factory):
    """A cache of this module: each model is exported once."""
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GTPT_MM_CACHE', str(folder))
        yield folder


def make_model(name: str, dtype=torch.float32):
    """Return a small model with weights that are always the same."""
    torch.manual_seed(0)
    model = small_model({**TOP_DOWN, **BOTTOM_UP}[name], dtype)
    if name == 'vitpose' and dtype == torch.float32:
        sharpen_head(model)  # rounding moves the points of flat heatmaps
    return model


def inputs_of(name: str) -> dict:
    if name in TOP_DOWN:
        return dict(images=IMAGES, boxes=BOXES)
    # Two sizes, and two images that share a batch.
    images = [IMAGES[0], IMAGES[2], IMAGES[0][:, ::-1].copy()]
    return dict(images=images)


def assert_equal(found: dict, expected: dict) -> None:
    """Keypoints within 0.05 pixels, but for ties in noise."""
    np.testing.assert_array_equal(
        found['image_index'], expected['image_index']
    )
    apart = np.abs(found['keypoints'] - expected['keypoints']).max(-1)
    assert (apart <= 0.05).mean() >= 0.995, apart.max()
    np.testing.assert_allclose(found['scores'], expected['scores'], atol=1e-3)
    assert len(np.unique(found['keypoints'], axis=1)) > 1


def refuse(*args):
    raise AssertionError('exported a second time')


@pytest.mark.parametrize(
    'runtime, name',
    [
        pytest.param(*pair, marks=[pytest.mark.slow] if pair in SLOW else [])
        for pair in ((r, n) for n in MODELS_OF for r in NETWORKS)
    ],
)
def test_predictions_are_those_of_torch(runtime, name, monkeypatch):
    pytest.importorskip(runtime)
    model, inputs = make_model(name), inputs_of(name)
    flips = (True, False) if name in TOP_DOWN else (None,)
    for flip_test in flips:
        options = dict(batch_size=3, flip_test=flip_test)
        expected = Predictor(model, **options)(inputs)
        predict = Predictor(model, runtime=runtime, **options)
        assert_equal(predict(inputs), expected)
        # The flip test is two passes of the same file.
        monkeypatch.setattr(cache, 'write_file', refuse)


@pytest.fixture(scope='module')
def model():
    return make_model('gtpt')


@pytest.fixture(scope='module')
def expected(model):
    return Predictor(model)(inputs_of('gtpt'))


def test_the_file_is_found_again(model, expected, monkeypatch):
    """By a predictor of the same weights, and by pickled ones."""
    Predictor(model, runtime=ONNX).build()
    monkeypatch.setattr(cache, 'write_file', refuse)
    predict = Predictor(make_model('gtpt'), runtime=ONNX)
    assert_equal(predict(inputs_of('gtpt')), expected)
    assert isinstance(predict.build().network, OnnxNetwork)
    copy = pickle.loads(pickle.dumps(predict))
    assert_equal(copy(inputs_of('gtpt')), expected)


def test_threads_share_a_predictor(model, expected):
    predict = Predictor(model, runtime=ONNX, batch_size=2)
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(predict, [inputs_of('gtpt')] * 6):
            assert_equal(found, expected)


def test_an_inferencer_takes_it(model, expected):
    inferencer = PoseInferencer(model, runtime=ONNX, batch_size=2)
    results = list(inferencer(IMAGES, boxes=BOXES))
    found = np.concatenate([result.keypoints for result in results])
    apart = np.abs(found - expected['keypoints']).max(-1)
    assert (apart <= 0.05).mean() >= 0.995


def test_people_are_measured_with_it(model):
    measured = []
    for runtime in ('torch', ONNX):
        predict = MeasuringPredictor(model, runtime=runtime)
        predict(inputs_of('gtpt'))
        measured.append(np.stack(predict.measured))
    np.testing.assert_allclose(*measured, atol=1e-3)


def test_the_given_model_stays_as_it_is(model):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    Predictor(model, runtime=ONNX)(inputs_of('gtpt'))
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_changed_weights_are_exported_again(model, monkeypatch):
    Predictor(model, runtime=ONNX).build()
    monkeypatch.setattr(cache, 'write_file', refuse)
    other = make_model('gtpt')
    next(other.backbone.parameters()).data += 0.1
    with pytest.raises(AssertionError, match='a second time'):
        Predictor(other, runtime=ONNX).build()


# ------------------------------------------------------------------------ auto


@pytest.fixture
def timed(monkeypatch, tmp_path):
    """Times that 'auto' measures, and what it timed; an own cache."""
    times = dict(torch=3.0, onnxruntime=2.0, openvino=1.0)
    calls = []

    def measure(networks, images):
        calls.append(sorted(networks))
        return {name: times[name] for name in networks}

    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path))
    monkeypatch.setattr(chosen_runtime, 'time_calls', measure)
    monkeypatch.setattr(chosen_runtime, '_open', lambda model, name: name)
    return times, calls


def choose(model) -> tuple:
    return chosen_runtime.use_runtime(model, 'auto', 8)


def test_auto_takes_the_fastest_and_remembers_it(model, timed):
    pytest.importorskip('openvino')
    times, calls = timed
    assert choose(model)[1] == 'openvino'
    times['openvino'] = 4.0
    assert choose(model)[1] == 'openvino'
    assert calls == [['onnxruntime', 'openvino', 'torch']]


def test_auto_takes_torch_where_that_is_fastest(model, timed):
    times, _ = timed
    times['torch'] = 0.5
    fused, network = choose(model)
    assert network is None
    assert fused is not model  # torch runs the fused model
    engine = Predictor(model, runtime='auto').build()
    assert isinstance(engine.network, TorchNetwork)


def test_auto_goes_without_what_cannot_export(model, timed, monkeypatch):
    def fail(model, name):
        raise ExportError(f'no {name} today')

    warnings = []
    monkeypatch.setattr(chosen_runtime, '_open', fail)
    monkeypatch.setattr(chosen_runtime, 'warn', warnings.append)
    assert choose(model)[1] is None
    assert any('no onnxruntime today' in words for words in warnings)
    before = len(warnings)
    assert choose(model)[1] is None  # remembered
    assert len(warnings) == before


def test_auto_in_other_types_is_torch(timed):
    model = make_model('gtpt', torch.bfloat16)
    engine = Predictor(model, runtime='auto').build()
    assert isinstance(engine.network, TorchNetwork)
    assert next(engine.model.parameters()).dtype == torch.bfloat16


def test_auto_without_a_cache_is_torch(model, timed, monkeypatch, tmp_path):
    (tmp_path / 'exported').write_text('a file where the folder should be')
    warnings = []
    monkeypatch.setattr(chosen_runtime, 'warn', warnings.append)
    assert choose(model)[1] is None
    assert 'takes torch' in warnings[0] and 'GTPT_MM_CACHE' in warnings[0]


def test_auto_with_a_full_cache_is_torch_for_now(model, timed, monkeypatch):
    def fill(*args):
        raise OSError(28, 'No space left on device')

    warnings = []
    monkeypatch.setattr(chosen_runtime, 'warn', warnings.append)
    for name in ('_open', 'write_choice'):
        with monkeypatch.context() as patch:
            patch.setattr(chosen_runtime, name, fill)
            assert choose(model)[1] is None
        assert 'takes torch: [Errno 28] No space left' in warnings.pop()
    assert choose(model)[1] is not None  # nothing was remembered


def test_auto_reads_a_cache_that_is_read_only(model, timed, monkeypatch):
    def refuse_lock(path):
        raise ValueError('the cache cannot be written to')

    chosen = choose(model)[1]
    assert chosen is not None
    monkeypatch.setattr(chosen_runtime, 'locked', refuse_lock)
    assert choose(model)[1] == chosen


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(runtime='tensorflow'), "'auto'.*'tensorflow'"),
        (dict(runtime=ONNX, device='cuda'), "'cuda'.*device='cpu'"),
        (dict(runtime=ONNX, dtype='bfloat16'), "bfloat16.*dtype='float32'"),
    ],
)
def test_refused_before_a_model_is_loaded(options, words):
    with pytest.raises(ValueError, match=words):
        Predictor('no-such-model', **options)


def test_a_missing_package_is_named_at_once(monkeypatch):
    monkeypatch.setattr(runtimes, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'"gtpt_mm\[onnx\]"'):
        Predictor('no-such-model', runtime=ONNX)


def test_a_model_in_half_precision_is_refused():
    model = make_model('gtpt', torch.bfloat16)
    with pytest.raises(ValueError, match="bfloat16.*dtype='float32'"):
        Predictor(model, runtime=ONNX).build()


def test_a_model_of_many_sizes_is_refused():
    model = make_model('vitpose-ae')
    with pytest.raises(ValueError, match="Associative.*runtime='torch'"):
        Predictor(model, runtime=ONNX).build()


def test_padded_images_are_refused():
    """Group Pose masks the padding, which the file does not know."""
    model = make_model('group-pose')
    sample = PoseDataSample(
        metainfo=dict(img_shape=(96, 100), batch_input_shape=(96, 128))
    )
    whole = with_network(model, lambda images: images)
    with pytest.raises(ValueError, match=r'96, 100.*96, 128.*pad_size_div'):
        whole.head.forward(whole.extract_feat(torch.zeros(1)), [sample])
    sample.set_metainfo(dict(batch_input_shape=(96, 100)))
    images = torch.zeros(1)
    assert whole.head.forward(whole.extract_feat(images), [sample]) is images


def test_a_model_in_one_step_is_refused(model, monkeypatch):
    kind = MODELS.get('TopdownPoseEstimator')
    other = make_model('gtpt')
    other.__class__ = type('OneStep', (kind,), dict(predict=lambda *x: []))
    with pytest.raises(ValueError, match="OneStep.*runtime='torch'"):
        Predictor(other, runtime=ONNX).build()

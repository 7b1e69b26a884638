"""Small models of every family in files, compared with torch by verify."""

import json
import logging
import sys
import threading
import warnings
from dataclasses import asdict

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from support.configs import read_config, shrink
from support.fill import sharpen_head
from support.stock_inference import small_config

from gtpt_mm.apis.export import export
from gtpt_mm.apis.model_names import load_model
from gtpt_mm.deploy import export as export_module
from gtpt_mm.deploy import export_model, make_graph
from gtpt_mm.deploy import verify as verify_module
from gtpt_mm.deploy.formats import quiet_export
from gtpt_mm.deploy.metadata import ModelMetadata, read_metadata
from gtpt_mm.deploy.verify import make_batches, verify

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')
VITPOSE = 'configs/body_2d_keypoint/vitpose'
#: Pixels. Random heatmaps have a maximum here and there that is flat in a
#: direction, where rounding alone moves the refined point; the mean is tight,
#: and decoding has a test of its own.
LOOSE = 1.0
#: Configs beside those of ``small_config``.
CONFIGS = {
    'whole_body': 'configs/wholebody_2d_keypoint/gtpt/sample/'
    'gtpt-t_1xb16-14e_sample-wholebody-96x64.py',
    'vitpose_plus': 'configs/multi_dataset/vitpose_plus/sample/'
    'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py',
    'token': f'{VITPOSE}/sample/td-hm_vitpose-s-token_1xb16-14e_'
    'sample-96x64.py',
    **{
        name: f'{VITPOSE}/coco/td-hm_vitpose-b-{name}_8xb64-210e_'
        'coco-256x192.py'
        for name in ('simple', 'minimal', 'fp')
    },
}


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    number = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(number)


def build(name: str, dataset: str | None = None):
    """Return a small model of a family with random, sharp weights."""
    torch.manual_seed(0)
    if name in CONFIGS:
        cfg = read_config(CONFIGS[name])
        cfg.model = shrink(cfg.model)
        cfg.config_check = False
    else:
        cfg = rtmpose_config() if name == 'rtmpose' else small_config(name)
    return sharpen_head(load_model(cfg, 'random', 'cpu', dataset))


def rtmpose_config() -> Config:
    """Return the config of a small RTMPose on the data of a small GTPT."""
    cfg = small_config('gtpt')
    size = cfg.codec.input_size
    codec = dict(
        type='SimCCLabel', input_size=size, sigma=(4.9, 5.66), normalize=False
    )
    cfg.model.pop('train_cfg', None)
    cfg.model.type = 'TopdownPoseEstimator'
    cfg.model.backbone = dict(
        _delete_=True,
        type='CSPNeXt',
        arch='P5',
        expand_ratio=0.5,
        deepen_factor=0.17,
        widen_factor=0.125,
        out_indices=(4,),
        channel_attention=True,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='SiLU'),
    )
    cfg.model.head = dict(
        type='RTMCCHead',
        in_channels=128,
        out_channels=17,
        input_size=size,
        in_featuremap_size=(size[0] // 32, size[1] // 32),
        simcc_split_ratio=2.0,
        final_layer_kernel_size=3,
        gau_cfg=dict(
            hidden_dims=32,
            s=16,
            expansion_factor=2,
            dropout_rate=0.0,
            drop_path=0.0,
            act_fn='SiLU',
            use_rel_bias=False,
            pos_enc=False,
        ),
        loss=dict(type='KLDiscretLoss', use_target_weight=True),
        decoder=codec,
    )
    cfg.model.backbone.pop('_delete_')
    cfg.test_dataloader.dataset.pipeline[2].input_size = size
    return cfg


@pytest.fixture(scope='module')
def models():
    """Return a function that builds each small model once."""
    built = {}

    def get(name: str):
        if name not in built:
            dataset = 'ap10k' if name == 'vitpose_plus' else None
            built[name] = build(name, dataset)
        return built[name]

    return get


def check(model, file, **options):
    """Export, compare, and return the report."""
    made = export(model, file=file, **options)
    assert made.report.passed, str(made.report)
    return made


@pytest.mark.parametrize(
    'name',
    [
        'gtpt',
        'hevitpose',
        'vitpose',
        'rtmpose',
        pytest.param('whole_body', marks=pytest.mark.slow),
        pytest.param('vitpose_plus', marks=pytest.mark.slow),
    ],
)
def test_decoded_with_flip_test(models, tmp_path, name):
    """Any batch; keypoints as the codec in numpy decodes them."""
    file = tmp_path / 'model.onnx'
    options = dict(decode=True, flip_test=True, tolerance_px=LOOSE)
    made = check(models(name), file, **options)
    assert made.report.batches[:3] == [1, 2, 5]
    assert made.report.mean_px < 0.01
    assert made.report.max_score < 1e-4
    assert made.metadata.outputs == ['keypoints', 'scores']


@pytest.mark.parametrize(
    ('name', 'names'),
    [
        ('gtpt', ['simcc_x', 'simcc_y']),
        ('hevitpose', ['heatmaps']),
        ('rtmpose', ['simcc_x', 'simcc_y']),
        ('whole_body', ['simcc_x', 'simcc_y']),
        ('vitpose_plus', ['heatmaps']),
        ('token', ['heatmaps']),
        ('simple', ['heatmaps']),
        ('minimal', ['heatmaps']),
        ('fp', ['heatmaps']),
    ],
)
def test_graph_returns_the_outputs_of_the_head(models, name, names):
    model = models(name)
    graph = make_graph(model)
    w, h = graph.input_size
    images = torch.randn(3, 3, h, w)
    with torch.no_grad():
        found, expected = graph(images), model._forward(images)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert list(graph.find_output_names()) == names
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    'name', [pytest.param('group_pose', marks=pytest.mark.slow), 'bottom_up']
)
def test_bottom_up_models(models, tmp_path, name):
    """Group Pose of any size; a ViTPose of the size of its codec.

    Of two neighbours that are equal but for rounding either may attract the
    point by a quarter of a pixel of the heatmap.
    """
    file = tmp_path / 'model.onnx'
    made = check(models(name), file, tolerance_px=LOOSE)
    assert made.report.mean_px < 0.01
    assert made.report.batches[:3] == [1, 2, 5]
    size = None if name == 'group_pose' else (128, 128)
    assert read_metadata(file).input_size == size
    assert made.metadata.padding is None


def test_decoded_poses_of_group_pose_are_those_of_predict(models):
    model = models('group_pose')
    images = torch.randn(2, 3, 96, 128)
    with torch.no_grad():
        keypoints, scores = make_graph(model, decode=True)(images)
        expected = verify_module.Reference(model, False).predict(images)
    for one, score, (points, point_scores) in zip(
        keypoints, scores, expected, strict=True
    ):
        np.testing.assert_allclose(one, points, atol=1e-3)
        np.testing.assert_allclose(score, point_scores[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ('format', 'suffix'), [('openvino', '.xml'), ('torch-export', '.pt2')]
)
def test_other_formats(models, tmp_path, format, suffix):
    """Any batch, and what they say about themselves."""
    if format == 'openvino':
        pytest.importorskip('openvino')
    file = tmp_path / f'model{suffix}'
    options = dict(format=format, decode=True)
    made = check(models('vitpose'), file, **options)
    assert made.report.batches[:3] == [1, 2, 5]
    assert read_metadata(file) == made.metadata
    assert sorted(path.suffix for path in tmp_path.iterdir()) == (
        ['.bin', '.xml'] if format == 'openvino' else ['.pt2']
    )


def test_fixed_batch_and_metadata(models, tmp_path):
    model = models('vitpose')
    file = tmp_path / 'model.onnx'
    options = dict(flip_test=True, tolerance_px=LOOSE)
    made = check(model, file, batch=3, **options)
    assert made.report.mean_px < 0.01
    assert set(made.report.batches) == {3}
    read = read_metadata(file)
    assert read == made.metadata
    assert (read.batch, read.flip_test, read.decode) == (3, True, False)
    assert read.outputs == ['heatmaps']
    assert read.input_size == tuple(model.cfg.codec.input_size)
    assert read.keypoints[:3] == ['nose', 'left_eye', 'right_eye']
    assert read.swap[:3] == [0, 2, 1]
    assert [15, 13] in read.skeleton
    assert (read.color, read.mean) == ('RGB', [123.675, 116.28, 103.53])
    assert read.codec['type'] == type(model.head.decoder).__name__
    assert read.codec['heatmap_size'] == [16, 24]
    assert read.padding == 1.25


def test_half_precision(models, tmp_path):
    """Weights are halved, images and outputs are not, decoding is exact."""
    onnx = pytest.importorskip('onnx')
    model = models('vitpose')
    made = check(
        model,
        tmp_path / 'half.onnx',
        decode=True,
        precision='fp16',
        tolerance_px=1,
    )
    assert made.report.mean_px > 0
    graph = onnx.load(made.file).graph
    halves = [
        t.data_type == onnx.TensorProto.FLOAT16
        for t in graph.initializer
        if np.prod(t.dims) > 500
    ]
    assert sum(halves) > 0.7 * len(halves)  # decoding has some of its own
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_a_file_that_deviates_is_renamed(models, tmp_path, capsys):
    model = models('vitpose')
    file = tmp_path / 'model.onnx'
    made = export_model(model, file)
    other = build('vitpose')
    torch.nn.init.normal_(other.head.final_layer.weight)
    batches = make_batches(torch.randn(8, 3, 96, 64))
    report = verify(other, file, made.metadata, batches)
    assert not report.passed
    assert report.max_px > 1
    assert report.file == tmp_path / 'model.failed-check.onnx'
    assert report.file.is_file()
    assert not file.exists()
    assert 'px, limit 0.1 px' in str(report)


def test_a_file_that_does_not_run_is_renamed(models, tmp_path):
    file = tmp_path / 'model.onnx'
    file.write_bytes(b'no model')
    report = verify(
        models('vitpose'),
        file,
        ModelMetadata(),
        [torch.zeros(1, 3, 96, 64)],
    )
    assert not report.passed
    assert report.reason
    assert report.file.name == 'model.failed-check.onnx'


def test_tensorrt_without_tensorrt(models, tmp_path):
    """The ONNX file is checked; the command has all shapes."""
    file = tmp_path / 'model.engine'
    made = check(models('vitpose'), file, format='tensorrt', decode=True)
    assert made.file == tmp_path / 'model.onnx'
    assert 'TensorRT is not installed here' in made.notes[0]
    assert made.notes[1] == (
        f'trtexec --onnx={tmp_path}/model.onnx --saveEngine={file} '
        '--minShapes=images:1x3x96x64 --optShapes=images:8x3x96x64 '
        '--maxShapes=images:64x3x96x64 --noTF32'
    )
    facts = json.loads((tmp_path / 'model.engine.json').read_text())
    assert facts == json.loads(json.dumps(asdict(made.metadata)))
    assert read_metadata(file) == made.metadata


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(format='caffe'), "format must be one of .*'caffe'"),
        (dict(precision='fp8'), "precision must be one of .*'fp8'"),
        (dict(batch=0), "batch must be 'dynamic' or a positive .*0"),
        (dict(format='openvino'), 'ends in .xml, got model.onnx'),
        (dict(input_size=(64, 64)), r'input_size=\(64, 64\).*built for'),
    ],
)
def test_bad_arguments(models, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        export_model(models('gtpt'), tmp_path / 'model.onnx', **options)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_its_extra(models, tmp_path, monkeypatch):
    monkeypatch.setattr(
        export_module,
        'find_spec',
        lambda name: None if name == 'openvino' else 1,
    )
    words = r'openvino needs openvino, not installed: pip install "gtpt_mm\['
    with pytest.raises(ImportError, match=words + 'openvino'):
        export_model(models('gtpt'), tmp_path / 'm.xml', format='openvino')


def test_unknown_heads_are_exported_but_not_decoded(models):
    model = build('vitpose')
    model.head.__class__ = type(
        'OtherHead', (type(model.head),), dict(predict=lambda *_: None)
    )
    assert make_graph(model).find_output_names() == ('heatmaps',)
    with pytest.raises(ValueError, match='OtherHead predicts in another way'):
        make_graph(model, decode=True)


def test_flip_test_needs_symmetry(models):
    model = MODELS.build(small_config('vitpose').model)
    with pytest.raises(ValueError, match='no dataset_meta'):
        make_graph(model, flip_test=True)


def test_a_model_of_several_datasets_is_refused():
    cfg = read_config(CONFIGS['vitpose_plus'])
    model = MODELS.build(shrink(cfg.model))
    with pytest.raises(ValueError, match='choose one of'):
        make_graph(model)


@pytest.mark.parametrize(
    'name', ['hevitpose', 'vitpose', 'rtmpose', 'group_pose', 'bottom_up']
)
def test_the_legacy_exporter_takes_any_batch_or_is_refused(
    models, tmp_path, name
):
    """``dynamo=False``; that a GTPT is refused is tested with the model."""
    onnxruntime = pytest.importorskip('onnxruntime')
    graph = make_graph(models(name))
    w, h = graph.input_size or (96, 96)
    file = str(tmp_path / 'model.onnx')
    try:
        torch.onnx.export(
            graph,
            (torch.zeros(2, 3, h, w),),
            file,
            input_names=['images'],
            dynamic_axes={'images': {0: 'batch'}},
            opset_version=17,
            dynamo=False,
        )
    except ValueError as error:
        assert 'dynamo=True' in str(error)
        return
    session = onnxruntime.InferenceSession(file)
    for batch in (1, 3):
        images = torch.randn(batch, 3, h, w)
        found = session.run(None, {'images': images.numpy()})
        for one, other in zip(found, graph(images), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('gtpt-t', dict(decode=True, flip_test=True)),
        ('gtpt-t', dict(decode=True)),
        ('gtpt-b', dict(decode=True)),
        ('gtpt-s-wholebody', dict(decode=True)),
        ('hevitpose-t', dict(decode=True, flip_test=True)),
        ('vitpose-s', dict(decode=True, flip_test=True)),
        ('vitpose-s', dict(decode=True)),
        ('vitpose-plus-s', dict(decode=True, dataset='wholebody')),
        ('group-pose-r50', dict(input_size=(320, 256))),
    ],
)
def test_full_size(tmp_path, name, options):
    """With random weights, whose maxima are sharpened.

    Their maps hardly depend on the image, so that the average with those of
    the mirror image is symmetric, with two equal maxima: only scores count.
    """
    dataset = options.pop('dataset', None)
    model = sharpen_head(load_model(name, 'random', 'cpu', dataset))
    flipped = options.get('flip_test', False)
    options['tolerance_px'] = 1000.0 if flipped else LOOSE
    for format, suffix in (('onnx', '.onnx'), ('openvino', '.xml')):
        file = tmp_path / f'model{suffix}'
        made = check(model, file, format=format, **options)
        assert made.report.max_score < 1e-4
        assert flipped or made.report.mean_px < 0.01


def test_exporters_of_two_threads_leave_the_process_as_it_was():
    """Ends that cross would leave stdout redirected for ever."""
    entered, left = threading.Event(), threading.Event()

    def second():
        with quiet_export():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=second)
    logger = logging.getLogger('torch.onnx')
    before = sys.stdout, logger.level, list(warnings.filters)
    with quiet_export():
        assert sys.stdout is not before[0]
        thread.start()
        entered.wait(0.2)
    left.set()
    thread.join()
    assert (sys.stdout, logger.level, list(warnings.filters)) == before

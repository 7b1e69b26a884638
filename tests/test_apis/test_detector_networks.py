"""Detectors with networks: equal to their library's own post-processing."""

import pickle
from pathlib import Path

import cv2
import mmpose
import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from onnx import TensorProto, helper, numpy_helper

from gtpt_mm.apis.detectors import make_detector

#: Two sizes, twice each: batches of one size, and results in order.
SIZES = [(96, 64), (80, 120), (96, 64), (80, 120), (64, 64)]


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [
        cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), size[::-1])
        for size in SIZES
    ]


def assert_same(found, expected, atol=1e-3):
    """The boxes of each image, best first, and at least one of all."""
    assert sum(len(scores) for _, scores in expected) > 0
    for (boxes, scores), (right, right_scores) in zip(
        found, expected, strict=True
    ):
        np.testing.assert_allclose(scores, right_scores, atol=1e-5)
        np.testing.assert_allclose(boxes, right, atol=atol)


def select(boxes, scores, kept):
    boxes, scores = np.asarray(boxes)[kept], np.asarray(scores)[kept]
    order = np.argsort(-scores, kind='stable')
    return boxes[order], scores[order]


def favour_people(network, num_classes=91, index=1):
    """Raise the logits of people: random weights hardly find any."""
    words = ('cls_score', 'classification', 'class_embed', 'rtm_cls')
    with torch.no_grad():
        for name, value in network.named_parameters():
            is_bias = any(w in name for w in words) and name.endswith('bias')
            if is_bias and len(value) % num_classes == 0:
                value.view(-1, num_classes)[:, index] += 4


@pytest.fixture(scope='module')
def ssdlite():
    """A detector that finds people with random weights."""
    torch.manual_seed(0)
    detector = make_detector('ssdlite', threshold=0, weights='random')
    detector.prepare()
    favour_people(detector._network)
    return detector


@pytest.mark.parametrize(
    'name, model',
    [
        ('ssdlite', 'ssdlite320_mobilenet_v3_large'),
        (
            'torchvision:fasterrcnn_mobilenet_v3_large_320_fpn',
            'fasterrcnn_mobilenet_v3_large_320_fpn',
        ),
        pytest.param(
            'fasterrcnn', 'fasterrcnn_resnet50_fpn_v2', marks=pytest.mark.slow
        ),
    ],
)
def test_torchvision(name, model, images, tmp_path):
    from torchvision.models import get_model

    network = get_model(model, weights=None, weights_backbone=None)
    favour_people(network.eval())
    torch.save(network.state_dict(), tmp_path / 'a.pth')
    detector = make_detector(
        name, threshold=0, weights=tmp_path / 'a.pth', class_ids=(1, 5, 7)
    )
    expected = []
    for image in images:
        tensor = torch.from_numpy(image[..., ::-1] / np.float32(255))
        with torch.no_grad():
            [result] = network([tensor.permute(2, 0, 1)])
        kept = np.isin(result['labels'], (1, 5, 7))
        expected.append(select(result['boxes'], result['scores'], kept))
    assert_same(detector(images), expected)
    assert_same(pickle.loads(pickle.dumps(detector))(images), expected)


def test_torchvision_takes_people_only(images, ssdlite):
    [(_, scores), *_] = ssdlite(images)
    everything = make_detector(
        'ssdlite', threshold=0, weights='random', class_ids=range(91)
    )
    everything._network = ssdlite._network
    assert 0 < len(scores) < len(everything(images)[0][1])


@pytest.fixture(params=['rt_detr', 'd_fine'])
def folder(request, tmp_path):
    """A tiny network and its processor, saved by transformers."""
    import transformers

    torch.manual_seed(1)
    sizes = dict(
        d_model=32, encoder_hidden_dim=32, encoder_in_channels=[16, 24, 32],
        encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2,
        decoder_attention_heads=2, decoder_layers=2, num_queries=10,
        decoder_in_channels=[32] * 3, num_denoising=0,
        id2label={0: 'cat', 1: 'person', 2: 'dog'}, hidden_expansion=1.0,
        label2id=dict(cat=0, person=1, dog=2),
    )  # fmt: skip
    if request.param == 'rt_detr':
        backbone = transformers.RTDetrResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16, 24, 32],
            depths=[1, 1, 1, 1], layer_type='basic', out_indices=[2, 3, 4],
        )  # fmt: skip
        cfg = transformers.RTDetrConfig(backbone_config=backbone, **sizes)
        model = transformers.RTDetrForObjectDetection(cfg)
    else:
        backbone = transformers.HGNetV2Config(
            stem_channels=[3, 8, 8], stage_in_channels=[8, 8, 16, 24],
            stage_mid_channels=[8, 8, 8, 8],
            stage_out_channels=[8, 16, 24, 32], stage_num_blocks=[1] * 4,
            stage_numb_of_layers=[1] * 4, out_indices=[2, 3, 4],
            hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, embedding_size=8,
        )  # fmt: skip
        cfg = transformers.DFineConfig(backbone_config=backbone, **sizes)
        model = transformers.DFineForObjectDetection(cfg)
    favour_people(model, 3)
    model.save_pretrained(tmp_path / 'tiny')
    processor = transformers.RTDetrImageProcessor(
        size=dict(height=64, width=96)
    )
    processor.save_pretrained(tmp_path / 'tiny')
    return tmp_path / 'tiny'


def test_transformers(folder, images):
    import transformers

    load = transformers.AutoModelForObjectDetection.from_pretrained
    model = load(folder).eval()
    process = transformers.AutoImageProcessor.from_pretrained(folder)
    expected = []
    for image in images:
        rgb = np.ascontiguousarray(image[..., ::-1])
        with torch.no_grad():
            outputs = model(**process(images=rgb, return_tensors='pt'))
        [result] = process.post_process_object_detection(
            outputs, threshold=0, target_sizes=[image.shape[:2]]
        )
        height, width = image.shape[:2]
        limits = np.array([width, height] * 2)
        boxes = result['boxes'].numpy().clip(0, limits)
        kept = (result['labels'] == 1).numpy() & (
            boxes[:, 2:] > boxes[:, :2]
        ).all(1)
        expected.append(select(boxes, result['scores'], kept))
    detector = make_detector(f'hf:{folder}', threshold=0, batch_size=3)
    assert_same(detector(images), expected)
    copy = pickle.loads(pickle.dumps(make_detector(folder, threshold=0)))
    assert_same(copy(images), expected)


def test_transformers_in_the_folder_of_weights(folder, monkeypatch, images):
    monkeypatch.setenv('GTPT_MM_WEIGHTS', str(folder.parent))
    detector = make_detector('hf:tiny', threshold=0, weights='random')
    assert detector.is_here
    assert len(detector(images)) == len(images)


@pytest.fixture(scope='module')
def rtmdet(tmp_path_factory):
    """The config of a small RTMDet, and random weights with its classes."""
    folder = tmp_path_factory.mktemp('rtmdet')
    root = Path(mmpose.__file__).parent / '.mim/demo/mmdetection_cfg'
    cfg = Config.fromfile(root / 'rtmdet_nano_320-8xb32_coco-person.py')
    cfg.model.bbox_head.num_classes = 2
    cfg.model.test_cfg.score_thr = 0
    classes = ('dog', 'person')
    cfg.test_dataloader.dataset.metainfo = dict(classes=classes)
    cfg.dump(folder / 'rtmdet.py')
    random = make_detector(f'mmdet:{folder / "rtmdet.py"}', weights='random')
    torch.manual_seed(0)
    random.prepare()
    model = random._network.model
    favour_people(model, 2)
    for layer in model.bbox_head.rtm_reg:
        layer.bias.data += 2  # sides of boxes, which may be negative
    torch.save(
        dict(
            state_dict=random._network.model.state_dict(),
            meta=dict(dataset_meta=dict(classes=classes)),
        ),
        folder / 'rtmdet.pth',
    )
    return folder / 'rtmdet.py', folder / 'rtmdet.pth'


def test_mmdet(rtmdet, images):
    from mmdet.apis import inference_detector, init_detector

    config, weights = map(str, rtmdet)
    before = DefaultScope.get_current_instance().scope_name
    detector = make_detector(f'mmdet:{config}', threshold=0, weights=weights)
    found = detector(images)
    assert DefaultScope.get_current_instance().scope_name == before
    model = init_detector(config, weights, palette='coco', device='cpu')
    expected = []
    for result in inference_detector(model, images):
        people = result.pred_instances.numpy()
        kept = people.labels == 1
        height, width = result.ori_shape
        boxes = people.bboxes.clip(0, np.array([width, height] * 2))
        kept &= (boxes[:, 2:] > boxes[:, :2]).all(1)
        expected.append(select(boxes, people.scores, kept))
    assert_same(found, expected)
    assert_same(pickle.loads(pickle.dumps(detector))(images), expected)


def test_mmdet_finds_its_configs_and_people():
    detector = make_detector('mmdet:rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    assert detector.weights.endswith('.pth')
    person = make_detector('rtmdet')
    assert 'coco-obj365-person' in person.weights
    with pytest.raises(ValueError, match='did you mean rtmdet/rtmdet_tiny'):
        make_detector('mmdet:rtmdet/rtmdet_tiny_8xb32_coco.py')


def test_mmdet_needs_weights_and_a_class_of_people(rtmdet, tmp_path, images):
    config, weights = rtmdet
    with pytest.raises(ValueError, match='needs weights='):
        make_detector(f'mmdet:{config}')
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.metainfo = dict(classes=('dog', 'cat'))
    cfg.dump(tmp_path / 'pets.py')
    detector = make_detector(f'mmdet:{tmp_path}/pets.py', weights=weights)
    with pytest.raises(ValueError, match='no class person, but dog, cat'):
        detector(images)


def save_yolox(path, outputs, names=('output',), batch='B', size=(64, 96)):
    """Save a network that finds the same in every image."""
    shape = [batch, 3, *size]
    nodes = [
        helper.make_node('Shape', ['images'], ['n'], start=0, end=1),
    ]
    entries = []
    for name, array in zip(names, outputs, strict=True):
        ones = np.ones(array.ndim, np.int64)
        entries += [
            numpy_helper.from_array(array[None], f'{name}_one'),
            numpy_helper.from_array(ones, f'{name}_ones'),
        ]
        nodes += [
            helper.make_node(
                'Concat', ['n', f'{name}_ones'], [f'{name}_shape'], axis=0
            ),
            helper.make_node(
                'Expand', [f'{name}_one', f'{name}_shape'], [name]
            ),
        ]
    kinds = {np.dtype('f4'): TensorProto.FLOAT, np.dtype('i8'): 7}
    graph = helper.make_graph(
        nodes,
        'yolox',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(n, kinds[a.dtype], None)
            for n, a in zip(names, outputs, strict=True)
        ],
        entries,
    )
    opset = helper.make_opsetid('', 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, path)
    return path


def raw_output(size, strides, decoded=False, num_classes=3):
    """Cells of one kind, and in one of them a person of 16 x 24 pixels."""
    cells = [
        (x, y, stride)
        for stride in strides
        for y in range(size[0] // stride)
        for x in range(size[1] // stride)
    ]
    output = np.zeros((len(cells), 5 + num_classes), np.float32)
    output[:, 2:4] = np.log(0.5)
    index = cells.index((3, 2, 8))
    output[index, :5] = (0.5, 0.25, np.log(2), np.log(3), 0.8)
    output[index, 5:] = (0.9, 0.1, 1.0)[:num_classes]
    if decoded:
        x, y, stride = np.float32(cells).T[..., None]
        output[:, :1] = (output[:, :1] + x) * stride
        output[:, 1:2] = (output[:, 1:2] + y) * stride
        output[:, 2:4] = np.exp(output[:, 2:4]) * stride
    return output


@pytest.mark.parametrize('batch', ['B', 1, 4])
@pytest.mark.parametrize('decoded', [False, True])
@pytest.mark.parametrize('strides', [(8, 16, 32), (8, 16, 32, 64)])
def test_yolox_of_any_form(strides, decoded, batch, tmp_path):
    size = (128, 192)
    output = raw_output(size, strides, decoded)
    path = save_yolox(tmp_path / 'a.onnx', [output], batch=batch, size=size)
    images = [np.zeros((256, 200, 3), np.uint8)] * 5  # half as large inside
    found = make_detector(path)(images)
    center, half = np.array([3.5 * 8, 2.25 * 8]), np.array([8, 12])
    expected = 2 * np.hstack((center - half, center + half))
    assert len(found) == 5
    for boxes, scores in found:
        np.testing.assert_allclose(boxes, [expected], rtol=1e-6)
        np.testing.assert_allclose(scores, [0.72], rtol=1e-6)
    ((_, scores),) = make_detector(path, class_ids=(1, 2))(images[:1])
    np.testing.assert_allclose(scores, [0.8], rtol=1e-6)


def test_yolox_with_its_own_suppression(tmp_path):
    """What mmdeploy writes: boxes with scores, and labels."""
    boxes = np.float32([[2, 4, 12, 24, 0.9], [2, 4, 12, 25, 0.8], [0] * 5])
    labels = np.int64([0, 1, -1])
    path = save_yolox(
        tmp_path / 'a.onnx', [boxes, labels], names=('dets', 'labels')
    )
    ((found, scores),) = make_detector(path)([np.zeros((32, 48, 3), np.uint8)])
    np.testing.assert_allclose(found, [[1, 2, 6, 12]])
    np.testing.assert_allclose(scores, [0.9])


def test_other_onnx_files_are_refused(tmp_path):
    path = save_yolox(tmp_path / 'a.onnx', [np.zeros((7, 85), np.float32)])
    image = np.zeros((32, 48, 3), np.uint8)
    with pytest.raises(ValueError, match=r'is not a YOLOX.*\(1, 7, 85\)'):
        make_detector(path)([image])


@pytest.fixture
def empty_caches(monkeypatch, tmp_path):
    """No weights on this machine, and no network."""
    monkeypatch.setenv('GTPT_MM_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(
        'huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'hub')
    )
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    return tmp_path


@pytest.mark.parametrize(
    'name', ['rtmdet', 'ssdlite', 'fasterrcnn', 'hf:PekingU/rtdetr_r18vd']
)
def test_offline_error_says_what_to_do(name, images, empty_caches):
    detector = make_detector(name)  # its arguments are right
    assert not detector.is_here
    with pytest.raises(ValueError, match='cannot be fetched') as caught:
        detector(images)
    assert 'GTPT_MM_WEIGHTS' in str(caught.value)
    if not name.startswith('hf:'):
        assert 'make_detector(' in str(caught.value)
    assert detector([]) == []


def test_auto_offline_lists_the_choices(images, empty_caches):
    detector = make_detector()
    with pytest.raises(ValueError, match='finds no detector') as caught:
        detector(images)
    for word in ('whole_image', 'PATH.onnx', 'hf:NAME', 'pip install'):
        assert word in str(caught.value)


def test_auto_says_what_it_takes(images, empty_caches):
    (empty_caches / 'weights').mkdir()
    path = save_yolox(
        empty_caches / 'weights' / 'my_yolox.onnx',
        [raw_output((64, 96), (8, 16, 32))],
    )
    detector = make_detector('auto')
    with pytest.warns(UserWarning, match='takes .*my_yolox.onnx.*whole_im'):
        [(_, scores), *_] = detector(images)
    assert detector.name == f'auto ({path})'
    np.testing.assert_allclose(scores, [0.72], rtol=1e-6)
    assert pickle.loads(pickle.dumps(detector)).name == detector.name


@pytest.mark.parametrize('place', ['torch/hub/checkpoints', 'weights'])
def test_auto_takes_weights_on_this_machine(
    place, images, empty_caches, ssdlite
):
    cache = empty_caches / place
    cache.mkdir(parents=True)
    name = ssdlite.public.url.rpartition('/')[2]
    torch.save(ssdlite._network.state_dict(), cache / name)
    detector = make_detector('auto', threshold=0)
    with pytest.warns(UserWarning, match="takes 'ssdlite'"):
        found = detector(images)
    assert_same(found, ssdlite(images))


def test_weights_come_from_a_mirror_into_torchs_cache(
    images, empty_caches, server, monkeypatch, ssdlite
):
    name = ssdlite.public.url.rpartition('/')[2]
    torch.save(ssdlite._network.state_dict(), empty_caches / name)
    server.files[name] = (empty_caches / name).read_bytes()
    monkeypatch.setenv('GTPT_MM_WEIGHTS', f'{server.url}/files')
    detector = make_detector('ssdlite', threshold=0)
    assert_same(detector(images), ssdlite(images))
    cache = empty_caches / 'torch/hub/checkpoints'
    assert [file.name for file in cache.iterdir()] == [name]
    assert make_detector('ssdlite').is_here


def test_transformers_from_the_hub(folder, images, server):
    server.models['me/tiny'] = {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    detector = make_detector('hf:me/tiny', threshold=0)
    assert not detector.is_here
    assert_same(detector(images), make_detector(folder, threshold=0)(images))
    assert detector.is_here
    asked = len(server.asked)
    make_detector('hf:me/tiny')(images)
    assert len(server.asked) == asked  # the cache has it


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(spec='ssdlight'), "Did you mean 'ssdlite'"),
        (dict(spec='torchvision:yolo'), 'no detector .yolo., but fasterrcnn'),
        (dict(spec='hf:a/b', weights='c.pth'), 'those of its folder'),
        (dict(spec='whole_image', weights='c.pth'), 'takes no weights'),
        (dict(spec='auto', weights='c.pth'), 'takes no weights'),
    ],
)
def test_wrong_names_and_options(options, words):
    with pytest.raises(ValueError, match=words):
        make_detector(**options)


def test_missing_package_is_named_with_its_extra(monkeypatch, tmp_path):
    (tmp_path / 'a.onnx').touch()
    monkeypatch.setattr(
        'gtpt_mm.apis.detectors.base.find_spec', lambda name: None
    )
    with pytest.raises(ImportError, match=r'"gtpt_mm\[onnx\]"'):
        make_detector(tmp_path / 'a.onnx')
    with pytest.raises(ImportError, match=r'"gtpt_mm\[transformers\]"'):
        make_detector('hf:PekingU/rtdetr_r18vd')

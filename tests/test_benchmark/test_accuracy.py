"""AP and PCK in the table: values of drawn blobs, settings, refusals."""

import dataclasses
import json

import cv2
import pytest
import torch
from mmengine.config import Config

from gtpt_mm.benchmark import (
    AccuracyConfig,
    BenchmarkConfig,
    ModelChoice,
    find_bubbles,
    format_report,
    load_network,
    plot_accuracy,
    run_benchmark,
    to_json,
)
from gtpt_mm.benchmark.accuracy import (
    AccuracySettings,
    Tester,
    check_settings,
)
from tests.support.blob_model import SIZE, blob_model, draw_blobs

#: Places of blue, green and red in each picture.
POINTS = [
    [(12.0, 20.0), (32.0, 28.0), (52.0, 16.0)],
    [(20.0, 12.0), (40.0, 20.0), (48.0, 36.0)],
    [(16.0, 32.0), (28.0, 16.0), (44.0, 28.0)],
    [(8.0, 24.0), (36.0, 12.0), (56.0, 32.0)],
]


@pytest.fixture
def data(tmp_path):
    """Pictures of blobs with annotations; the last red one is wrong."""
    (tmp_path / 'images').mkdir()
    images, annotations = [], []
    w, h = SIZE
    for i, points in enumerate(POINTS, 1):
        name = f'{i}.png'
        picture = draw_blobs([[point] for point in points])
        cv2.imwrite(str(tmp_path / 'images' / name), picture)
        images.append(dict(id=i, file_name=name, width=w, height=h))
        labelled = [list(point) for point in points]
        if i == len(POINTS):
            labelled[2] = [5.0, 5.0]
        annotations.append(
            dict(
                id=i, image_id=i, category_id=1, iscrowd=0, area=w * h,
                bbox=[0, 0, w, h], num_keypoints=3,
                keypoints=[v for p in labelled for v in (*p, 2)],
            )
        )  # fmt: skip
    names = ['blue', 'green', 'red']
    category = dict(id=1, name='blob', keypoints=names, skeleton=[])
    content = dict(
        images=images, annotations=annotations, categories=[category]
    )
    (tmp_path / 'val.json').write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def blobs(tmp_path):
    """The choice of a model that sees blobs, with its weights in a file."""

    def make(label, swap=False, flip_test=False):
        model = blob_model(swap, flip_test)
        partners = dict(blue='red', red='blue') if swap else {}
        meta = dict(
            dataset_name='blobs',
            keypoint_info={
                k: dict(name=name, id=k, swap=partners.get(name, ''))
                for k, name in enumerate(('blue', 'green', 'red'))
            },
            skeleton_info={},
            joint_weights=[1.0] * 3,
            sigmas=[0.05] * 3,
        )
        cfg = Config(
            dict(
                default_scope='mmpose',
                model=model.cfg.model,
                test_dataloader=dict(
                    dataset=dict(
                        type='CocoDataset',
                        ann_file='none.json',
                        metainfo=meta,
                        pipeline=model.cfg.test_dataloader.dataset.pipeline,
                    )
                ),
                test_evaluator=dict(type='CocoMetric', ann_file='none.json'),
            )
        )
        path = tmp_path / f'{label}.py'
        cfg.dump(path)
        weights = tmp_path / f'{label}.pth'
        torch.save(dict(state_dict=model.state_dict()), weights)
        return ModelChoice(path, label, weights=str(weights))

    return make


def load(choice):
    return load_network(choice, config_check=False)


def measure(networks, accuracy, **options):
    config = BenchmarkConfig(
        batch_sizes=(1,), threads=1, repeats=1, warmup=0, **options
    )
    return run_benchmark(networks, config, accuracy=accuracy)


def test_pck_is_the_share_of_found_blobs(blobs, data):
    config = AccuracyConfig(data / 'val.json', data / 'images', 'PCK')
    network = load(blobs('blobs'))
    [row] = measure([network], config).timings
    assert row.accuracy_error is None
    assert row.accuracy.value == pytest.approx(11 / 12)
    assert row.accuracy.decoder == 'MSRAHeatmap'
    assert row.accuracy.settings == (
        'PCK@0.2',
        'val.json',
        'ground truth',
        False,
    )


def test_every_runtime_and_precision_has_the_accuracy_of_its_own(blobs, data):
    config = AccuracyConfig(data / 'val.json', data / 'images')
    benchmark = measure(
        [load(blobs('blobs'))],
        config,
        runtimes=('torch', 'onnxruntime', 'openvino'),
        precisions=('fp32', 'bf16'),
    )
    rows = {(r.case.runtime, r.case.precision): r for r in benchmark.timings}
    assert list(rows) == [
        ('eager', 'fp32'),
        ('eager', 'bf16'),
        ('onnxruntime', 'fp32'),
        ('openvino', 'fp32'),
        ('openvino', 'bf16'),
    ]
    for row in rows.values():
        assert row.error is row.accuracy_error is None
        # Three of four instances are right at all thresholds; OKS of the
        # last one is that of two keypoints of three.
        assert 0.7 <= row.accuracy.value < 0.95
    text = format_report(benchmark)
    assert 'AP on val.json; boxes: ground truth; flip test: off.' in text
    assert '| MSRAHeatmap |' in text
    first = json.loads(to_json(benchmark))['rows'][0]
    assert first['accuracy']['boxes'] == 'ground truth'


def test_crops_for_int8_are_those_that_the_network_sees(blobs, data):
    config = AccuracyConfig(data / 'val.json', data / 'images')
    network = load(blobs('blobs'))
    seen = []

    def forward(images):
        seen.append(images)
        return images[..., ::4, ::4]

    tester = Tester(config, [network])
    tester.test(network, forward, None)
    assert torch.equal(torch.cat(tester.find_crops(network)), seen[0])


@pytest.mark.parametrize('swap, found', [(False, 11), (True, 4)])
def test_flip_test_exchanges_the_partners_of_the_set(blobs, data, swap, found):
    """The mirrored picture has the last word, and its colors have no sides.

    So with blue and red as partners only green is found.
    """
    config = AccuracyConfig(
        data / 'val.json', data / 'images', 'PCK', flip_test=True
    )
    network = load(blobs('blobs', swap))
    seen = []

    def forward(images):
        seen.append(images)
        return images[..., ::4, ::4] * (1 if len(seen) % 2 else 3)

    accuracy = Tester(config, [network]).test(network, forward, None)
    assert accuracy.value == pytest.approx(found / 12)
    assert accuracy.settings.flip_test
    plain, mirrored = seen
    assert torch.equal(mirrored, plain.flip(-1))


def test_flip_tests_that_differ_are_refused(blobs, data):
    config = AccuracyConfig(data / 'val.json', data / 'images')
    networks = [load(blobs('on', flip_test=True)), load(blobs('off'))]
    with pytest.raises(
        ValueError, match='flip test of on is True, that of off False.*--flip'
    ):
        measure(networks, config)
    same = dataclasses.replace(config, flip_test=False)
    assert all(r.accuracy for r in measure(networks, same).timings)


@pytest.mark.parametrize(
    'name, value',
    [
        ('metric', 'PCK@0.2'),
        ('data', 'test.json'),
        ('boxes', 'detections.json'),
        ('flip_test', True),
    ],
)
def test_any_other_difference_is_refused(name, value):
    one = AccuracySettings('AP', 'val.json', 'ground truth', False)
    other = one._replace(**{name: value})
    check_settings(dict(a=one, b=one))
    with pytest.raises(ValueError, match='of a is .*that of b'):
        check_settings(dict(a=one, b=other))


def test_random_weights_have_no_accuracy(blobs, data):
    config = AccuracyConfig(data / 'val.json', data / 'images')
    choice = dataclasses.replace(blobs('random'), weights=None)
    with pytest.raises(ValueError, match='give weights=FILE'):
        measure([load(choice)], config)
    benchmark = measure([load(choice), load(blobs('blobs'))], config)
    random, trained = benchmark.timings
    assert random.accuracy is random.accuracy_error is None
    assert trained.accuracy.value > 0.7


def test_weights_of_another_model_are_refused(blobs, tmp_path):
    torch.save(dict(state_dict=dict(x=torch.ones(1))), tmp_path / 'x.pth')
    choice = dataclasses.replace(
        blobs('blobs'), weights=str(tmp_path / 'x.pth')
    )
    with pytest.raises(ValueError, match='x.pth does not hold the weights'):
        load(choice)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(ann_file='no.json'), 'no file .*no.json'),
        (dict(images='none'), 'no folder .*none'),
        (dict(metric='mAP'), "one of .*'mAP'"),
        (dict(metric='PCK', boxes='val.json'), 'PCK .*not --boxes'),
    ],
)
def test_bad_settings(options, message, data):
    given = dict(ann_file='val.json', images='images') | options
    for name in ('ann_file', 'images', 'boxes'):
        if name in given:
            given[name] = data / given[name]
    with pytest.raises(ValueError, match=message):
        AccuracyConfig(**given)


def test_figure_has_filled_and_hollow_bubbles(blobs, data, tmp_path):
    config = AccuracyConfig(data / 'val.json', data / 'images')
    benchmark = measure([load(blobs('blobs'))], config)
    [cost] = benchmark.costs
    assert cost.published is None
    panels = find_bubbles(benchmark)
    [(title, [bubble])] = panels.items()
    assert title == ('AP on val.json, boxes: ground truth, flip test off')
    assert bubble.is_measured
    assert bubble.parameters == 12
    plot_accuracy(benchmark, tmp_path / 'figure.png')
    image = cv2.imread(str(tmp_path / 'figure.png'))
    blue = (abs(image.astype(int) - (180, 119, 31)).sum(-1) < 60).sum()
    assert blue > 20

"""Drawing under numpy >= 2.4 and matplotlib >= 3.10, and the metrics."""

import itertools
from pathlib import Path

import matplotlib
import mmpose
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmengine.visualization import Visualizer
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import KEYPOINT_CODECS, METRICS
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules
from mmpose.visualization import Pose3dLocalVisualizer, PoseLocalVisualizer

matplotlib.use('Agg')
DATASETS = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
IMAGE = np.zeros((100, 120, 3), np.uint8)
COUNT = itertools.count()


@pytest.fixture(autouse=True)
def _mmpose_scope():
    register_all_modules()


def metainfo(name: str) -> dict:
    return parse_pose_metainfo(dict(from_file=str(DATASETS / f'{name}.py')))


def sample() -> PoseDataSample:
    rng = np.random.default_rng(0)
    instances = InstanceData(
        keypoints=rng.random((2, 17, 2)).astype(np.float32) * 90,
        keypoints_visible=np.ones((2, 17), np.float32),
        bboxes=np.array([[5, 5, 80, 80], [1, 2, 60, 70]], np.float32),
        scores=np.ones(2, np.float32),
    )
    predicted = instances.clone()
    predicted.keypoint_scores = np.ones((2, 17), np.float32)
    return PoseDataSample(
        gt_instances=instances,
        pred_instances=predicted,
        gt_fields=PixelData(heatmaps=torch.rand(17, 100, 120)),
        pred_fields=PixelData(heatmaps=torch.rand(17, 100, 120)),
    )


@pytest.mark.parametrize('backend', ['opencv', 'matplotlib'])
@pytest.mark.parametrize('style', ['mmpose', 'openpose'])
@pytest.mark.parametrize('alpha', [0.8, 1.0])
def test_pose_visualizer(backend, style, alpha, tmp_path):
    visualizer = PoseLocalVisualizer(
        name=f'visualizer{next(COUNT)}',
        backend=backend,
        alpha=alpha,
        show_keypoint_weight=alpha == 1,
        radius=4,
    )
    visualizer.set_dataset_meta(metainfo('coco'), skeleton_style=style)
    file = tmp_path / 'drawn.png'
    visualizer.add_datasample(
        'people',
        IMAGE,
        sample(),
        draw_bbox=True,
        draw_heatmap=style == 'mmpose',
        show_kpt_idx=True,
        skeleton_style=style,
        out_file=str(file),
    )
    assert file.stat().st_size > 0


def test_circle_lies_where_it_was_asked():
    visualizer = PoseLocalVisualizer(
        name=f'visualizer{next(COUNT)}', backend='opencv', alpha=1.0
    )
    visualizer.set_image(IMAGE)
    visualizer.draw_circles(
        np.array([30.0, 60.0]),
        radius=np.array([4]),
        face_colors=(0, 255, 0),
        alpha=1.0,
    )
    rows, columns = visualizer.get_image()[..., 1].nonzero()
    assert (rows.mean(), columns.mean()) == (60, 30)
    assert rows.max() - rows.min() == 8


def test_nothing_is_missing_where_numpy_and_matplotlib_suffice(monkeypatch):
    from gtpt_mm.compat.stack import matplotlib_api, numpy_api

    monkeypatch.setattr(numpy_api.np, 'ones', lambda size: 1.0)
    assert numpy_api.missing() == ''
    assert matplotlib_api.missing() == ''  # has the method by now


def test_3d_visualizer(tmp_path):
    visualizer = Pose3dLocalVisualizer(name=f'visualizer{next(COUNT)}')
    visualizer.set_dataset_meta(metainfo('h36m'))
    rng = np.random.default_rng(0)
    lifted = PoseDataSample(
        pred_instances=InstanceData(
            keypoints=rng.random((1, 17, 3)), keypoint_scores=np.ones((1, 17))
        ),
        gt_instances=InstanceData(lifting_target=rng.random((1, 17, 3))),
    )
    detected = PoseDataSample(
        pred_instances=InstanceData(
            keypoints=rng.random((1, 17, 2)) * 90,
            keypoint_scores=np.ones((1, 17)),
        )
    )
    file = tmp_path / 'drawn.png'
    visualizer.add_datasample(
        'lifted',
        IMAGE,
        lifted,
        det_data_sample=detected,
        show_kpt_idx=True,
        out_file=str(file),
    )
    assert file.stat().st_size > 0


def test_figure_as_rgb_bytes():
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(1, 0.5), dpi=40, facecolor=(1, 0, 0))
    figure.canvas.draw()
    rgb = np.frombuffer(figure.canvas.tostring_rgb(), np.uint8)
    plt.close(figure)
    np.testing.assert_array_equal(
        rgb.reshape(20, 40, 3), np.full((20, 40, 3), [255, 0, 0])
    )


def test_mmengine_visualizer():
    visualizer = Visualizer(name=f'visualizer{next(COUNT)}', image=IMAGE)
    visualizer.draw_bboxes(torch.tensor([[1, 1, 20, 20]]))
    visualizer.draw_texts('text', torch.tensor([[10, 10]]))
    visualizer.draw_circles(torch.tensor([[5, 5]]), torch.tensor([2]))
    visualizer.draw_lines(torch.tensor([[1, 5]]), torch.tensor([[2, 6]]))
    visualizer.draw_featmap(torch.rand(3, 20, 20), IMAGE)
    assert visualizer.get_image().shape == IMAGE.shape


@pytest.mark.parametrize(
    ('name', 'dataset', 'num_keypoints', 'options'),
    [
        ('PCKAccuracy', 'coco', 17, {}),
        ('MpiiPCKAccuracy', 'mpii', 16, {}),
        ('AUC', 'coco', 17, {}),
        ('EPE', 'coco', 17, {}),
        ('NME', 'coco', 17, dict(norm_mode='use_norm_item')),
    ],
)
def test_metrics(name, dataset, num_keypoints, options):
    if options:
        options = dict(norm_item='bbox_size', **options)
    metric = METRICS.build(dict(type=name, **options))
    metric.dataset_meta = metainfo(dataset)
    for index in range(4):
        keypoints = np.random.rand(1, num_keypoints, 2) * 100
        metric.process(
            {},
            [
                dict(
                    id=index,
                    pred_instances=dict(
                        keypoints=keypoints,
                        keypoint_scores=np.ones((1, num_keypoints)),
                    ),
                    gt_instances=dict(
                        keypoints=keypoints,
                        keypoints_visible=np.ones((1, num_keypoints, 1)),
                        bboxes=np.array([[0, 0, 100, 100.0]]),
                        head_size=np.ones((1, 1)),
                    ),
                )
            ],
        )
    scores = metric.evaluate(4)
    assert scores and all(np.isfinite(v) for v in scores.values())


@pytest.mark.parametrize(
    'options',
    [
        dict(type='MSRAHeatmap', sigma=2),
        dict(type='MSRAHeatmap', sigma=2, unbiased=True),
        dict(type='UDPHeatmap'),
        dict(type='MegviiHeatmap', kernel_size=11),
        dict(type='SimCCLabel'),
        dict(type='SimCCLabel', use_dark=True, normalize=False),
        dict(type='RegressionLabel'),
    ],
)
def test_codecs_return_what_they_were_given(options):
    options['input_size'] = (192, 256)
    if 'Heatmap' in options['type']:
        options['heatmap_size'] = (48, 64)
    codec = KEYPOINT_CODECS.build(options)
    keypoints = np.random.rand(1, 17, 2) * [140, 200] + 25
    encoded = codec.encode(keypoints, np.ones((1, 17)))
    names = 'heatmaps', 'keypoint_labels', 'keypoint_x_labels'
    arrays = [encoded[name] for name in names if name in encoded]
    if 'keypoint_y_labels' in encoded:
        arrays.append(encoded['keypoint_y_labels'])
    decoded = codec.decode(*arrays)[0]
    np.testing.assert_allclose(decoded, keypoints, atol=3)

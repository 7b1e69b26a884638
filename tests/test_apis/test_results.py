"""Results as JSON, COCO, pandas, supervision and pictures."""

import builtins
import json
import warnings

import numpy as np
import pytest
import supervision as sv
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation import CocoMetric

from gtpt_mm.apis.results import Frame, PoseResult, Skeleton

COCO = Skeleton.from_metainfo(
    parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
)
SMALL = Skeleton(
    names=('nose', 'left_shoulder', 'right_shoulder'),
    links=((0, 1), (1, 2)),
    keypoint_colors=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
    link_colors=((255, 255, 0), (0, 255, 255)),
)


def make(skeleton=SMALL, num=2, image=None, **fields) -> PoseResult:
    """Return ``num`` people whose k-th keypoint is (20 k + 10, 30 n + 10)."""
    each = len(skeleton.names)
    grid = np.meshgrid(np.arange(each) * 20 + 10.0, np.arange(num) * 30 + 10.0)
    values = dict(
        keypoints=np.stack(grid, -1).astype(np.float32),
        scores=np.tile(np.linspace(0.5, 1.25, each), (num, 1)),
        boxes=np.array([[0, 30 * i, 80, 30 * i + 25] for i in range(num)]),
        box_scores=np.linspace(0.9, 0.8, num),
        skeleton=skeleton,
        frame=Frame(image, 'shots/a.jpg'),
    )
    return PoseResult(**values | fields)


def test_to_dict_is_plain_json():
    result = make(image=np.zeros((60, 80, 3), np.uint8))
    result.ids = np.array([4, 7])
    found = result.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == dict(
        source='shots/a.jpg',
        width=80,
        height=60,
        error='',
        names=['nose', 'left_shoulder', 'right_shoulder'],
        people=[
            dict(
                box=[0, 0, 80, 25],
                box_score=0.9,
                keypoints=[[10, 10], [30, 10], [50, 10]],
                scores=[0.5, 0.875, 1],  # clipped
                id=4,
            ),
            dict(
                box=[0, 30, 80, 55],
                box_score=0.8,
                keypoints=[[10, 40], [30, 40], [50, 40]],
                scores=[0.5, 0.875, 1],
                id=7,
            ),
        ],
    )
    assert type(found['people'][0]['box_score']) is float
    assert result.scores.max() == 1.25  # only the dict is clipped


def test_to_dict_of_videos_errors_and_numbers_that_are_none():
    result = make(
        num=1, frame=Frame(None, 'a.mp4', index=np.int64(3), time=0.1)
    )
    result.keypoints[0, 0] = np.nan
    result.keypoints[0, 1, 0] = np.inf
    result.scores[0] = [np.nan, -1, np.inf]
    [person] = result.to_dict()['people']
    assert person['keypoints'] == [[None, None], [None, 10], [50, 10]]
    assert person['scores'] == [0, 0, 1]
    assert (result.to_dict()['index'], result.to_dict()['time']) == (3, 0.1)
    json.dumps(result.to_dict(), allow_nan=False)
    missing = PoseResult.empty(SMALL, Frame(None, 'b.jpg', error='no file'))
    assert missing.to_dict()['error'] == 'no file'
    assert missing.to_dict()['width'] is None


def test_to_coco_scores_people_as_mmpose_does(tmp_path):
    rng = np.random.default_rng(0)
    result = make(COCO, num=3)
    result.scores = rng.random((3, 17)) * 1.2
    result.scores[2] = 0.1  # none above 0.2
    annotations = dict(
        images=[dict(id=785, file_name='a.jpg', width=80, height=60)],
        annotations=[],
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'a.json').write_text(json.dumps(annotations))
    metric = CocoMetric(
        str(tmp_path / 'a.json'),
        format_only=True,
        outfile_prefix=str(tmp_path / 'found'),
        nms_mode='none',
    )
    metric.dataset_meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/coco.py')
    ) | dict(CLASSES=['person'])
    instances = InstanceData(
        keypoints=result.keypoints,
        keypoint_scores=result.scores,
        bbox_scores=result.box_scores,
        bboxes=result.boxes,
    )
    for number in range(3):
        metric.process(
            {},
            [
                dict(
                    id=number,
                    img_id=785,
                    category_id=1,
                    pred_instances=instances[number],
                    gt_instances=InstanceData(
                        bbox_scales=np.ones((1, 2)), bbox_scores=np.ones(1)
                    ),
                )
            ],
        )
    metric.evaluate(size=3)
    expected = json.loads((tmp_path / 'found.keypoints.json').read_text())
    found = result.to_coco(image_id=785)
    assert len(found) == len(expected) == 3
    for one in found:
        same = min(
            expected,
            key=lambda e: np.abs(
                np.subtract(e['keypoints'], one['keypoints'])
            ).max(),
        )
        np.testing.assert_allclose(one['keypoints'], same['keypoints'])
    json.dumps(found)


def test_to_coco_without_numbers_that_are_none():
    result = make(num=1)
    result.keypoints[0, 0] = np.nan
    result.box_scores[0] = np.nan
    [found] = result.to_coco(np.int64(3), category_id=2)
    assert json.dumps(found).startswith('{"image_id": 3, "category_id": 2')
    assert found['keypoints'][:6] == [0, 0, 0, 30, 10, 0.875]
    assert (found['score'], found['category_id']) == (0, 2)


def test_to_pandas():
    result = make(frame=Frame(None, 'a.mp4', index=5, time=0.2))
    table = result.to_pandas()
    assert len(table) == 6
    row = table.iloc[4]
    assert (row['source'], row['index'], row['time']) == ('a.mp4', 5, 0.2)
    assert (row['person'], row['keypoint']) == (1, 'left_shoulder')
    assert [row['x'], row['y'], row['score']] == [30, 40, 0.875]
    assert row['box_y1'] == 30
    assert row['box_score'] == 0.8
    assert table['id'].isna().all()
    result.ids = np.array([4, 7])
    assert result.to_pandas()['id'].tolist() == [4] * 3 + [7] * 3
    # Tables of images go together, with and without people.
    import pandas as pd

    empty = PoseResult.empty(SMALL, Frame(None, 'b.jpg')).to_pandas()
    assert list(empty) == list(table)
    assert dict(empty.dtypes)['index'] == dict(table.dtypes)['index']
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert len(pd.concat([empty, table])) == 6


def test_to_supervision():
    result = make()
    result.ids = np.array([4, 7])
    found = result.to_supervision()
    assert isinstance(found, sv.KeyPoints)
    np.testing.assert_array_equal(found.xy, result.keypoints)
    np.testing.assert_allclose(found.keypoint_confidence, result.scores)
    np.testing.assert_allclose(found.detection_confidence, [0.9, 0.8])
    assert found.data['class_name'].tolist() == ['person', 'person']
    second = found[1]
    assert second.data['tracker_id'].tolist() == [7]
    np.testing.assert_array_equal(second.data['xyxy'], result.boxes[1:])
    assert found.as_detections().class_id.tolist() == [0, 0]
    picture = np.zeros((60, 80, 3), np.uint8)
    drawn = sv.EdgeAnnotator(edges=[(1, 2)]).annotate(picture.copy(), found)
    assert drawn.any()
    empty = PoseResult.empty(SMALL, Frame(None, 'b.jpg')).to_supervision()
    assert len(empty) == 0
    sv.VertexAnnotator().annotate(picture.copy(), empty)


@pytest.mark.parametrize('extra', ['pandas', 'supervision'])
def test_a_missing_extra_is_named(monkeypatch, extra):
    whole = builtins.__import__

    def without(name, *args):
        if name == extra:
            raise ImportError(name)
        return whole(name, *args)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=rf'pip install "gtpt_mm\[{extra}\]'):
        getattr(make(), f'to_{extra}')()


# ------------------------------------------------------------------ pictures


def test_draw_puts_colors_at_their_places():
    image = np.zeros((60, 80, 3), np.uint8)
    result = make(image=image, num=1)
    picture = result.draw(boxes=False, line_width=3)
    assert not image.any()
    assert picture.shape == image.shape
    assert picture[10, 10].tolist() == [0, 0, 255]  # nose, RGB red
    assert picture[10, 50].tolist() == [255, 0, 0]
    assert picture[10, 20].tolist() == [0, 255, 255]  # first link, yellow
    assert picture[10, 40].tolist() == [255, 255, 0]
    assert not picture[20:].any()
    # Keypoints below the threshold go, with their links.
    picture = result.draw(threshold=0.6, boxes=False, line_width=3)
    assert not picture[10, :25].any()
    assert picture[10, 40].tolist() == [255, 255, 0]
    assert not result.draw(threshold=1.01, boxes=False).any()
    assert result.draw(threshold=1, boxes=False)[10, 50].any()  # 1.25


def test_draw_boxes_ids_and_another_image():
    result = make(num=1)
    with pytest.raises(ValueError, match='shots/a.jpg cannot be drawn'):
        result.draw()
    with pytest.raises(ValueError, match='uint8'):
        result.draw(np.zeros((60, 80)))
    image = np.zeros((60, 90, 3), np.uint8)
    without = result.draw(image, threshold=2, boxes=False)
    box = result.draw(image, threshold=2)
    assert not without.any()
    assert box[12, 80].any()
    assert not box[12, 78].any()
    result.ids = np.array([4])
    with_id = result.draw(image, threshold=2)
    assert (with_id != box).any()
    assert (result.draw(image, threshold=2, ids=False)[:, :60]).any()
    result.ids = np.array([-1])  # not confirmed yet: no number
    no_number = result.draw(image, threshold=2, boxes=False)
    assert not no_number.any()


def test_lines_grow_with_the_image():
    def share(size: int) -> float:
        skeleton = Skeleton(('a', 'b'), links=((0, 1),))
        result = make(skeleton, num=1)
        result.scores[:] = 1
        result.keypoints[0] = [[0, size / 2], [size, size / 2]]
        picture = result.draw(np.zeros((size, size, 3), np.uint8), boxes=False)
        return float(picture.any(-1).mean())

    assert share(2000) == pytest.approx(share(500), rel=0.5)


def test_draw_survives_points_that_are_none_or_far_away():
    image = np.zeros((60, 80, 3), np.uint8)
    result = make(image=image, num=1)
    result.keypoints[0] = [[np.nan, 1], [1e12, -np.inf], [-500, 30]]
    result.boxes = np.array([[np.nan, 0, 5, 5]])
    result.ids = np.array([1])
    assert not result.draw().any()
    result.keypoints[0, 1] = [600, 30]  # a link from outside to outside
    assert result.draw()[30, 40].any()
    assert PoseResult.empty(SMALL, Frame(image, 'a')).draw().sum() == 0


def test_datasets_without_colors_are_drawn():
    skeleton = Skeleton(('a', 'b'), links=((0, 1),))
    result = make(skeleton, num=1, image=np.zeros((60, 80, 3), np.uint8))
    assert result.draw(line_width=3)[10, 20].tolist() == [0, 255, 0]

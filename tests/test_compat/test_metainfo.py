"""Skeletons: what is refused, and what mmpose's own files may do."""

import copy

import pytest
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from gtpt_mm.compat.data.metainfo import (
    MetainfoError,
    MissingMetainfoError,
    parse_metainfo,
)
from gtpt_mm.models.heads.group_pose_head import GroupPoseHead

SKELETON = dict(
    dataset_name='starfish',
    keypoint_info={
        0: dict(name='center'),
        1: dict(name='left_arm', swap='right_arm'),
        2: dict(name='right_arm', swap='left_arm'),
    },
    skeleton_info={0: dict(link=('center', 'left_arm'))},
    joint_weights=[1.0, 1.0, 1.0],
    sigmas=[0.1, 0.1, 0.1],
)


@pytest.fixture
def skeleton() -> dict:
    return copy.deepcopy(SKELETON)


def test_a_whole_skeleton_is_parsed_as_before(skeleton):
    parsed = parse_pose_metainfo(skeleton)
    assert parsed['flip_indices'] == [0, 2, 1]
    assert parsed['skeleton_links'] == [(0, 1)]
    assert parse_metainfo(skeleton)['num_keypoints'] == 3


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(joint_weights=[1.0] * 17), 'joint_weights has 17 values for 3'),
        (dict(sigmas=[0.1] * 2), 'sigmas has 2 values for 3 keypoints'),
        (dict(sigmas=[0.1, 0.0, 0.1]), 'sigmas must be above 0'),
        (dict(sigmas=[0.1, float('nan'), 1]), 'sigmas must be a list of'),
        (dict(joint_weights=None), "'starfish' lacks joint_weights"),
        (dict(skeleton_info=None), "'starfish' lacks skeleton_info"),
        (
            dict(skeleton_info={0: dict(link=('centre', 'left_arm'))}),
            r"skeleton_info\[0\]: link=\('centre', 'left_arm'\) must be two",
        ),
        (
            dict(skeleton_info={0: dict(link=('center',))}),
            r"link=\('center',\) must be two",
        ),
    ],
)
def test_a_mistake_is_named(skeleton, change, words):
    skeleton.update(change)
    with pytest.raises(MetainfoError, match=words):
        parse_pose_metainfo(skeleton)


def test_names_of_swaps(skeleton):
    skeleton['keypoint_info'][1]['swap'] = 'right_ram'
    words = "keypoint 'left_arm': swap='right_ram' is none of the keypoints"
    with pytest.raises(MetainfoError, match=words):
        parse_pose_metainfo(skeleton)
    skeleton['keypoint_info'][1]['swap'] = 'center'
    with pytest.raises(MetainfoError, match='both must name each other'):
        parse_pose_metainfo(skeleton)


def test_keypoints_out_of_order(skeleton):
    """Pitfall: mmpose takes flip indices from the order, ids from the keys."""
    expected = parse_pose_metainfo(skeleton)
    points = skeleton['keypoint_info']
    skeleton['keypoint_info'] = {1: points[1], 0: points[0], 2: points[2]}
    parsed = parse_pose_metainfo(skeleton)
    assert parsed['flip_indices'] == expected['flip_indices']
    assert list(parsed['keypoint_id2name']) == [0, 1, 2]
    skeleton['keypoint_info'] = {'0': points[0], 1: points[1], 2: points[2]}
    with pytest.raises(MetainfoError, match=r"got \['0', 1, 2\]"):
        parse_pose_metainfo(skeleton)
    skeleton['keypoint_info'] = {0: points[0], 1: points[0], 2: points[2]}
    with pytest.raises(MetainfoError, match='names, each once'):
        parse_pose_metainfo(skeleton)


def test_a_file_that_is_not_there():
    """Pitfall: mmpose takes its own coco.py, with no more than a warning."""
    init_default_scope('mmpose')
    config = dict(
        type='CocoDataset',
        lazy_init=True,
        metainfo=dict(from_file='nowhere/coco.py'),
    )
    with pytest.raises(
        MissingMetainfoError, match="'nowhere/coco.py', does not exist"
    ):
        DATASETS.build(config)
    config['metainfo'] = dict(from_file='configs/_base_/datasets/coco.py')
    assert DATASETS.build(config).metainfo['num_keypoints'] == 17


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / 'starfish.py'
    file.write_text(f'dataset_info = {SKELETON!r}')
    assert parse_metainfo(str(file))['num_keypoints'] == 3
    file.write_text('other = 1')
    with pytest.raises(MetainfoError, match='has no dict named dataset_info'):
        parse_metainfo(str(file))


def test_files_of_mmpose_are_taken_as_they_are():
    """Two have 19 keypoints and 18 weights, one a swap of one side."""
    for name in ('coco_aic', 'humanart_aic', 'deepfashion2'):
        file = f'configs/_base_/datasets/{name}.py'
        assert parse_metainfo(file)['num_keypoints'] > 18


def test_files_of_mmpose_are_taken_without_a_warning(recwarn):
    parse_metainfo('configs/_base_/datasets/coco.py')
    assert not recwarn.list


def test_group_pose_needs_sigmas(skeleton):
    skeleton['sigmas'] = []
    assert len(parse_pose_metainfo(skeleton)['sigmas']) == 0
    with pytest.raises(ValueError, match="'starfish' has no sigmas"):
        GroupPoseHead(skeleton)

"""Times of training pipelines, by step, beside mmpose's."""

import json

import cv2
import numpy as np
import pytest

from gtpt_mm.benchmark import format_loaders, parse_models, time_loaders
from gtpt_mm.benchmark.loader import SLOW, STOCK
from gtpt_mm.cli import main

TOPDOWN = 'gtpt-t_4xb64-300e_coco-256x192'
GROUP_POSE = 'group-pose_res50_8xb2-60e_coco-800x1333'


@pytest.fixture(scope='module')
def annotations(tmp_path_factory):
    """Two pictures with a person each, beside their annotations."""
    folder = tmp_path_factory.mktemp('loader')
    (folder / 'images').mkdir()
    rng = np.random.default_rng(0)
    people = []
    for i in (1, 2):
        image = rng.integers(0, 256, (64, 80, 3), np.uint8)
        cv2.imwrite(str(folder / f'images/{i}.png'), image)
        points = rng.integers(10, 50, (17, 2))
        keypoints = np.concatenate((points, np.full((17, 1), 2)), axis=1)
        people.append(
            dict(
                id=i,
                image_id=i,
                category_id=1,
                bbox=[5, 5, 50, 50],
                area=1500,
                iscrowd=0,
                num_keypoints=17,
                keypoints=keypoints.flatten().tolist(),
                segmentation=[],
            )
        )
    images = [
        dict(id=i, file_name=f'{i}.png', width=80, height=64) for i in (1, 2)
    ]
    content = dict(
        images=images,
        annotations=people,
        categories=[dict(id=1, name='person')],
    )
    path = folder / 'train.json'
    path.write_text(json.dumps(content))
    return path


def test_steps_of_group_pose_add_up(annotations):
    loaders = time_loaders(
        parse_models([GROUP_POSE]), annotations, 'cpu', repeats=2
    )
    assert list(loaders) == [GROUP_POSE, GROUP_POSE + SLOW]
    for steps in loaders.values():
        parts = sum(ms for name, ms in steps.items() if name != 'total')
        assert 0 < parts <= steps['total'] * 1.5  # medians of each
    steps = loaders[GROUP_POSE]
    assert {'LoadImage', 'GroupPoseResize', 'PackImage'} <= set(steps)
    assert 'RandomChoice' not in steps  # its steps are
    assert {'SlowResize', 'PackPoseInputs'} <= set(loaders[GROUP_POSE + SLOW])


def test_command_prints_a_line_for_each_pipeline(annotations, capsys):
    argv = ['benchmark', TOPDOWN, '--loader', str(annotations)]
    assert main([*argv, '--repeats', '1']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert [line.split()[1] for line in lines[2:]] == [
        TOPDOWN,
        STOCK,
    ]
    assert all('LoadImage' in line for line in lines[2:])


def test_report_begins_with_the_slowest_step():
    report = format_loaders({'x': dict(Load=1.0, Resize=2.0, total=3.1)})
    assert 'Resize 2.00, Load 1.00' in report
    assert '3.10' in report


def test_what_has_no_pictures_or_pipeline_is_named(annotations, tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dict(images=[dict(file_name='no.png')])))
    choices = parse_models([GROUP_POSE])
    with pytest.raises(ValueError, match='a.json.*no.png'):
        time_loaders(choices, path)
    with pytest.raises(ValueError, match="clock.*'sun'"):
        time_loaders(choices, annotations, 'sun')

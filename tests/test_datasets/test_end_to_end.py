"""Who is trained on, and who is not."""

import json

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

NUM_KEYPOINTS = {'CocoPeopleDataset': 17, 'CrowdPosePeopleDataset': 14}


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


def person(image: int, num: int, seen: int, **more) -> dict:
    points = [[30, 40, 2]] * seen + [[0, 0, 0]] * (num - seen)
    return dict(
        image_id=image,
        category_id=1,
        bbox=[10, 20, 40, 60],
        keypoints=np.array(points).flatten().tolist(),
        num_keypoints=seen,
        iscrowd=0,
        **more,
    )


@pytest.fixture(params=NUM_KEYPOINTS)
def load(request, tmp_path):
    """Return a function that loads five images, of a person each."""
    k = NUM_KEYPOINTS[request.param]
    people = [
        person(1, k, 3, area=700.0),
        person(1, k, 5),  # no area
        {**person(1, k, 3), 'iscrowd': 1},
        {**person(1, k, 3), 'bbox': [120, 10, 30, 30]},  # outside
        person(2, k, 0),
        {**person(3, k, 3), 'iscrowd': 1},
        {**person(4, k, 4), 'bbox': [60, 50, 90, 90]},  # cut
    ]
    content = dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=100, height=90)
            for i in range(1, 6)
        ],
        annotations=[{**a, 'id': i} for i, a in enumerate(people)],
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))

    def build(**options):
        return DATASETS.build(
            dict(
                type=request.param,
                ann_file=str(tmp_path / 'a.json'),
                **{'data_mode': 'bottomup', **options},
            )
        )

    return build


def test_training_leaves_out_who_has_no_keypoints(load):
    # Pitfall: stock bottom-up loading keeps all of them.
    dataset = load()
    images = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [image['img_id'] for image in images] == [1, 4]
    assert [image['id'] for image in images] == [[0, 1], [6]]
    assert [len(image['keypoints']) for image in images] == [2, 1]


def test_test_mode_keeps_every_image(load):
    dataset = load(test_mode=True)
    ids = {dataset.get_data_info(i)['img_id'] for i in range(len(dataset))}
    assert ids == {1, 2, 3, 4, 5}


def test_area_is_annotated_or_of_the_whole_box(load):
    # Pitfall: stock loading takes 0.53 of the box.
    dataset = load()
    first, last = (dataset.get_data_info(i) for i in range(2))
    assert first['area'].tolist() == [700.0, 2400.0]
    assert last['bbox'].tolist() == [[60, 50, 100, 90]]
    assert last['area'].tolist() == [1600.0]


def test_topdown_is_refused_by_name(load):
    with pytest.raises(ValueError, match="not 'topdown'"):
        load(data_mode='topdown')

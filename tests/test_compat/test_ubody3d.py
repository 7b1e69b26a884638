"""mmpose's dataset of UBody3D reads its files."""

import json

import numpy as np
import pytest
from mmpose.registry import DATASETS

NUM_KEYPOINTS = 133
NUM_FRAMES = 3


@pytest.fixture
def folder(tmp_path):
    """Frames of a clip, as UBody3D writes them: keypoints in pairs."""
    rng = np.random.default_rng(0)
    people = [
        dict(
            id=number,
            image_id=number,
            category_id=1,
            iscrowd=0,
            area=0,
            segmentation=[[]],
            bbox=[10.0 + number, 20, 100, 200],
            keypoints=rng.uniform(1, 90, (NUM_KEYPOINTS, 2)).tolist(),
            keypoints_3d=rng.uniform(1, 90, (NUM_KEYPOINTS, 3)).tolist(),
            keypoints_valid=[1] * NUM_KEYPOINTS,
            center=[60.0, 120.0],
            scale=[1.0, 2.0],
            camera_param=dict(focal=[9.0, 9.0], princpt=[5.0, 5.0]),
        )
        for number in range(NUM_FRAMES)
    ]
    images = [
        dict(id=n, width=99, height=99, file_name=f'show/trim/{n:06}.png')
        for n in range(NUM_FRAMES)
    ]
    labels = dict(
        images=images,
        annotations=people,
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    return tmp_path, people


@pytest.mark.parametrize(
    'options, length, num_frames',
    [({}, 3, 1), (dict(seq_len=2), 2, 2), (dict(multiple_target=3), 1, 3)],
)
def test_frames_are_read(options, length, num_frames, folder):
    path, people = folder
    dataset = DATASETS.build(
        dict(
            type='UBody3dDataset',
            ann_file='labels.json',
            data_root=str(path),
            data_prefix=dict(img='images'),
            **options,
        )
    )
    assert len(dataset) == length
    sample = dataset[0]
    for key, size in (('keypoints', 2), ('keypoints_3d', 3)):
        expected = np.array([p[key] for p in people[:num_frames]], np.float32)
        assert sample[key].shape == (num_frames, NUM_KEYPOINTS, size)
        assert np.array_equal(sample[key], expected)
    assert np.array_equal(sample['bbox_scores'], np.ones(num_frames))
    assert np.array_equal(
        sample['bbox'], [p['bbox'] for p in people[:num_frames]]
    )
    assert len(sample['img_paths']) == num_frames

"""APT-36K from a file written by hand, and datasets joined."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.datasets import MultiSourceSampler
from mmpose.registry import DATASETS

from gtpt_mm.datasets import APT36KDataset, MultiDataset

NAMES = ['coco', 'ap10k', 'apt36k']
KEYPOINTS = np.stack([np.arange(17.0), np.arange(17.0) + 5, np.full(17, 2)], 1)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


@pytest.fixture
def root(tmp_path):
    """Three pictures with an animal in each."""
    (tmp_path / 'data').mkdir()
    images, annotations = [], []
    for i in range(3):
        name = f'{i}.jpg'
        cv2.imwrite(str(tmp_path / 'data' / name), np.zeros((40, 50, 3)))
        images.append(dict(id=i, file_name=name, width=50, height=40))
        annotations.append(
            dict(
                id=i,
                image_id=i,
                category_id=1,
                bbox=[0, 5, 20, 20],
                area=400,
                iscrowd=0,
                num_keypoints=17,
                keypoints=KEYPOINTS.flatten().tolist(),
            )
        )
    labels = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='antelope')],
    )
    (tmp_path / 'train.json').write_text(json.dumps(labels))
    return tmp_path


@pytest.fixture
def make_cfg(root):
    def make(kind='APT36KDataset', packed=True, **options) -> dict:
        pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
        if packed:
            pipeline.append(dict(type='PackPoseInputs'))
        return dict(
            type=kind,
            data_root=str(root),
            ann_file='train.json',
            data_prefix=dict(img='data/'),
            pipeline=pipeline,
            **options,
        )

    return make


def test_apt36k_reads_coco_style_files(make_cfg):
    dataset = DATASETS.build(make_cfg())
    assert isinstance(dataset, APT36KDataset)
    assert len(dataset) == 3
    sample = dataset[1]['data_samples']
    np.testing.assert_array_equal(
        sample.gt_instances.keypoints[0], KEYPOINTS[:, :2]
    )


def test_apt36k_has_the_keypoints_of_ap10k(make_cfg):
    ours, theirs = (
        DATASETS.build(make_cfg(kind, lazy_init=True)).metainfo
        for kind in ('APT36KDataset', 'AP10KDataset')
    )
    assert ours['dataset_name'] == 'apt36k'
    for key in ('keypoint_id2name', 'flip_indices', 'skeleton_links'):
        assert ours[key] == theirs[key]
    np.testing.assert_array_equal(ours['sigmas'], theirs['sigmas'])


def test_samples_know_their_dataset(make_cfg):
    """By the name's place among all, not by which datasets are there."""
    for test_mode in (False, True):
        joined = MultiDataset(
            NAMES,
            dict(
                apt36k=make_cfg(test_mode=test_mode),
                ap10k=make_cfg('AP10KDataset', test_mode=test_mode),
            ),
        )
        idx = [joined[i]['data_samples'].dataset_idx for i in range(6)]
        assert idx == [1, 1, 1, 2, 2, 2]
        names = [joined[i]['data_samples'].dataset_name for i in range(6)]
        assert names == [NAMES[i] for i in idx]
        assert joined[0]['data_samples'].dataset_names == tuple(NAMES)
        assert joined.metainfo['dataset_name'] == 'ap10k'
        assert set(joined.metainfo['datasets']) == {'ap10k', 'apt36k'}
        assert joined.metainfo['dataset_names'] == NAMES


def test_names_do_not_depend_on_what_is_packed(make_cfg):
    cfg = make_cfg()
    cfg['pipeline'][-1]['meta_keys'] = ('id', 'img_id')
    sample = MultiDataset(NAMES, dict(apt36k=cfg))[0]['data_samples']
    assert (sample.dataset_idx, sample.dataset_name) == (2, 'apt36k')


def test_how_often_each_dataset_is_drawn(make_cfg):
    datasets = dict(ap10k=make_cfg('AP10KDataset'), apt36k=make_cfg())
    joined = MultiDataset(
        NAMES,
        datasets,
        main='apt36k',
        sample_ratio_factor=dict(apt36k=4, ap10k=1 / 3),
    )
    assert joined.lens == [1, 12]
    assert joined.metainfo['dataset_name'] == 'apt36k'
    places = {joined._get_subset_index(i) for i in range(1, 13)}
    assert places == {(1, 0), (1, 1), (1, 2)}
    joined = MultiDataset(NAMES, datasets)
    sampler = MultiSourceSampler(joined, 4, [3, 1], seed=0)
    batch = list(sampler)[:4]
    idx = [joined[i]['data_samples'].dataset_idx for i in batch]
    assert sorted(idx) == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ('options', 'word'),
    [
        (dict(names=['coco', 'apt36k', 'coco']), 'twice'),
        (dict(names=['coco']), 'apt36k'),
        (dict(datasets={}), 'datasets'),
        (dict(main='coco'), 'coco'),
        (dict(sample_ratio_factor=dict(dogs=2)), 'dogs'),
        (dict(sample_ratio_factor=dict(apt36k=0)), 'leaves no sample'),
    ],
    ids=str,
)
def test_bad_options_are_named(options, word, make_cfg):
    given = dict(names=NAMES, datasets=dict(apt36k=make_cfg())) | options
    with pytest.raises(ValueError, match=word):
        MultiDataset(**given)


def test_pipelines_must_pack(make_cfg):
    joined = MultiDataset(NAMES, dict(apt36k=make_cfg(packed=False)))
    with pytest.raises(ValueError, match="'apt36k'.*PackPoseInputs"):
        joined[0]

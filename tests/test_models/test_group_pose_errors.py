"""What Group Pose refuses, by name."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from support.group_pose_small import build_head, make_feats, make_samples

from gtpt_mm.models import GroupPoseHead


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(self_attn='grouped'), "self_attn must .* got 'grouped'"),
        (dict(self_attn='masked', shared=True), 'got self_attn=.masked.'),
        (dict(query_types=()), 'query_types must'),
        (dict(across=('joint',)), 'across must be some'),
        (dict(query_types=('keypoint',)), "score_from must .* 'instance'"),
        (dict(pos_in_value=False), 'set aux_alias=False'),
        (dict(across=(), shared=True), 'shared=True needs both'),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_head(decoder=options)


def test_bad_inputs_are_named():
    head = build_head()
    with pytest.raises(ValueError, match=r'got maps of \[32, 32, 32\]'):
        head(make_feats()[:3])
    with pytest.raises(ValueError, match='flip_test=False'):
        head.predict(make_feats(), make_samples(), dict(flip_test=True))
    small = tuple(feat[:, :, :1, :1] for feat in make_feats())
    with pytest.raises(ValueError, match='4 tokens cannot fill 6 queries'):
        head(small)
    humans = build_head(human_decoder=dict(num_humans=12))
    with pytest.raises(ValueError, match='fill 12 .* its num_humans'):
        humans(small)
    samples = make_samples()
    del samples[0].gt_instances.areas
    with pytest.raises(ValueError, match='no areas .*GroupPoseLabel'):
        head.loss(make_feats(), samples)
    samples = make_samples()
    areas = InstanceData(areas=torch.ones(3))
    samples[0].gt_instance_labels = areas
    with pytest.raises(ValueError, match='2 people of an image have 3 areas'):
        head.loss(make_feats(), samples)
    samples = make_samples(num_keypoints=4)
    with pytest.raises(ValueError, match=r'\(G, 5, 2\)'):
        head.loss(make_feats(), samples)
    samples = make_samples()
    samples[0].set_metainfo(dict(input_size=(96, 128)))
    with pytest.raises(ValueError, match='contradicts img_shape'):
        head.predict(make_feats(), samples)
    with pytest.raises(TypeError, match='num_layer'):
        build_head(decoder=dict(num_layer=3))


@pytest.mark.parametrize(
    ('name', 'giver'),
    [
        ('batch_input_shape', 'PoseDataPreprocessor'),
        ('img_shape', 'meta_keys'),
        ('input_size', 'GroupPoseResize'),
    ],
)
def test_sizes_that_a_sample_lacks_are_named(name, giver):
    [sample] = make_samples([(96, 128)], [1])
    sizes = {k: v for k, v in sample.metainfo.items() if k != name}
    feats = tuple(feat[:1] for feat in make_feats())
    lacking = PoseDataSample(metainfo=sizes)
    with pytest.raises(ValueError, match=f'has no {name}, .* by .*{giver}'):
        build_head().eval().predict(feats, [lacking])


@pytest.mark.parametrize('field', ['keypoints', 'keypoints_visible', 'bboxes'])
def test_people_that_a_sample_lacks_are_named(field):
    humans = dict(num_humans=12, feedforward_dims=32)
    head = build_head(human_decoder=humans)
    samples = make_samples()
    for sample in samples:
        people = sample.gt_instances
        people.bboxes = np.ones((len(people), 4))
        people.pop(field)
    with pytest.raises(ValueError, match=f'no {field} in gt_instances'):
        head.loss(make_feats(), samples)


def test_metainfo_of_a_file_that_is_not_there():
    """mmpose would take its own coco.py, with no more than a warning."""
    for metainfo in ('my/coco.py', dict(from_file='my/coco.py')):
        with pytest.raises(ValueError, match="'my/coco.py', does not exist"):
            GroupPoseHead(metainfo)
    head = GroupPoseHead('configs/_base_/datasets/crowdpose.py')
    assert head.num_keypoints == 14

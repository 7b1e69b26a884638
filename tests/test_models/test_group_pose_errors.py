"""What Group Pose refuses, by name."""

import pytest
from mmpose.structures import PoseDataSample
from support.group_pose_small import build_head, make_feats, make_samples

from gtpt_mm.models import GroupPoseHead


def test_bad_inputs_are_named():
    head = build_head()
    with pytest.raises(ValueError, match=r'got maps of \[32, 32, 32\]'):
        head(make_feats()[:3])
    with pytest.raises(ValueError, match='flip_test=False'):
        head.predict(make_feats(), make_samples(), dict(flip_test=True))
    small = tuple(feat[:, :, :1, :1] for feat in make_feats())
    with pytest.raises(ValueError, match='4 tokens cannot fill 6 queries'):
        head(small)
    samples = make_samples(num_keypoints=4)
    with pytest.raises(ValueError, match=r'\(G, 5, 2\)'):
        head.loss(make_feats(), samples)
    samples = make_samples()
    samples[0].set_metainfo(dict(input_size=(96, 128)))
    with pytest.raises(ValueError, match='contradicts img_shape'):
        head.predict(make_feats(), samples)
    with pytest.raises(TypeError, match='num_layer'):
        build_head(decoder=dict(num_layer=3))
    with pytest.raises(KeyError, match='GroupedDecoder'):
        build_head(decoder=dict(type='GroupedDecoder'))


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


@pytest.mark.parametrize('field', ['keypoints', 'areas', 'labels'])
def test_targets_that_a_sample_lacks_are_named(field):
    samples = make_samples()
    for sample in samples:
        sample.gt_instance_labels.pop(field)
    message = rf"no \['{field}'\] in gt_instance_labels.*'GroupPoseLabel'"
    with pytest.raises(ValueError, match=message):
        build_head().loss(make_feats(), samples)
    del samples[0].gt_instance_labels
    with pytest.raises(ValueError, match="'bboxes'.* in gt_instance_labels"):
        build_head().loss(make_feats(), samples)


def test_metainfo_of_a_file_that_is_not_there():
    """mmpose would take its own coco.py, with no more than a warning."""
    for metainfo in ('my/coco.py', dict(from_file='my/coco.py')):
        with pytest.raises(ValueError, match="'my/coco.py', does not exist"):
            GroupPoseHead(metainfo)
    head = GroupPoseHead('configs/_base_/datasets/crowdpose.py')
    assert head.num_keypoints == 14

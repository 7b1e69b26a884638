"""Two processes train Group Pose as one with the batch of both."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

BATCH, NUM_STEPS = 4, 3


@pytest.fixture(scope='module')
def cfg(group_pose_config):
    """The sample config with frozen norms, on images of one size.

    Other sizes would be padded otherwise in halves of a batch.
    """
    cfg = group_pose_config('coco')
    # As the recipe of COCO, which starts from trained weights.
    cfg.model.backbone.update(
        norm_eval=True, norm_cfg=dict(requires_grad=False), frozen_stages=1
    )
    loader = cfg.train_dataloader
    loader.sampler.shuffle = False
    steps = loader.dataset.pipeline
    loader.dataset.pipeline = [s for s in steps if s.type != 'GroupPoseFlip']
    for step in loader.dataset.pipeline:
        if step.type == 'GroupPoseResize':
            step.short_sides = [112]
    # Adam would blow rounding up where a gradient is almost zero.
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=1e-2)
    cfg.param_scheduler = None
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    for key in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    return cfg


@pytest.fixture(scope='module')
def records(cfg, run_processes, tmp_path_factory):
    """What each process recorded, and what the one alone did."""
    folder = tmp_path_factory.mktemp('two')
    cfg.dump(folder / 'group-pose.py')
    run_processes('train_config.py', folder, 'group-pose')
    return [
        torch.load(folder / f'group-pose-{who}.pt', weights_only=True)
        for who in (0, 1, 'alone')
    ]


def test_processes_have_different_numbers_of_people(cfg):
    """Else the mean over processes would be the number of each."""
    init_default_scope('mmpose')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    people = [
        len(dataset[i]['data_samples'].gt_instances)
        for i in range(BATCH * NUM_STEPS)
    ]
    steps = np.reshape(people, (NUM_STEPS, BATCH // 2, 2)).sum(1)
    assert (steps[:, 0] != steps[:, 1]).any()


def test_losses_are_those_of_one_process(records):
    first, second, alone = (np.array(r['losses']) for r in records)
    assert len(set(alone)) == NUM_STEPS
    assert (first != second).all()
    np.testing.assert_allclose((first + second) / 2, alone, 1e-5)


def test_gradients_are_those_of_one_process(records):
    first, second, alone = (record['gradients'] for record in records)
    assert len(alone) == NUM_STEPS
    for one, other, expected in zip(first, second, alone, strict=True):
        assert set(one) == set(expected)
        largest = max(grad.norm() for grad in expected.values())
        for name, grad in expected.items():
            assert torch.equal(one[name], other[name]), name
            error = (one[name] - grad).norm()
            assert error < 1e-4 * grad.norm() + 1e-6 * largest, name


def test_norms_and_first_stage_stay_as_they_are(records):
    """Neither gradients nor statistics, in one process or in two."""
    for record in records:
        trained = set(record['gradients'][0])
        assert not any('.bn' in name for name in trained)
        assert not any(n.startswith('backbone.layer1') for n in trained)
        assert any(n.startswith('backbone.layer2') for n in trained)
        for name, value in record['weights'].items():
            if name.endswith(('running_mean', 'running_var')):
                assert (value == name.endswith('var')).all(), name


def test_weights_are_those_of_one_process(records):
    first, second, alone = (record['weights'] for record in records)
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(
            first[name], expected, rtol=1e-5, atol=1e-6, msg=name
        )

"""Group Pose through its sample config, on a few drawn people."""

import copy
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS
from mmpose.structures import PoseDataSample
from support.group_pose_small import encode

FOLDER = 'configs/body_2d_keypoint/group_pose'
ACCUMULATING = 'coco/group-pose_res50_1xb2-accum8-60e_coco-800x1333.py'
SWIN_L = 'coco/group-pose_swin-l_1xb1-accum16-60e_coco-800x1333.py'
#: Recipes for one device beside those for several.
ONE_DEVICE = {
    ACCUMULATING: '8xb2',
    ACCUMULATING.replace('res50', 'swin-t'): '8xb2',
    SWIN_L: '16xb1',
}


@pytest.fixture(scope='module')
def cfg(group_pose_config, tmp_path_factory):
    init_default_scope('mmpose')
    cfg = group_pose_config('coco')
    cfg.visualizer.name = 'group_pose'
    cfg.work_dir = str(tmp_path_factory.mktemp('group_pose'))
    return cfg


@pytest.fixture(scope='module')
def model(cfg):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def make_batch(counts: list[int], sizes: list[tuple[int, int]]) -> dict:
    """Images of given sizes (h, w) with given numbers of people."""
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for num, (h, w) in zip(counts, sizes, strict=True):
        inputs.append(
            torch.from_numpy(rng.integers(0, 255, (3, h, w), np.uint8))
        )
        sample = PoseDataSample(
            metainfo=dict(
                img_shape=(h, w),
                input_size=(w, h),
                input_center=np.array((w / 2, h / 2)),
                input_scale=np.array((w, h)),
            )
        )
        points = rng.uniform(0, (w, h), (num, 17, 2))
        box = np.concatenate((points.min(1), points.max(1)), axis=1)
        area = np.full(num, 9e2)
        sample.gt_instance_labels = encode(points, area, box, (h, w))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize(
    ('counts', 'sizes'),
    [
        ([0, 0], [(64, 96), (64, 96)]),
        ([0, 1], [(64, 96), (96, 64)]),
        ([9, 2], [(128, 64), (70, 110)]),
    ],
    ids=['nobody', 'one', 'more people than queries'],
)
def test_any_number_of_people_can_be_learned(model, counts, sizes):
    model.train().zero_grad()
    batch = model.data_preprocessor(make_batch(counts, sizes), training=True)
    loss, parts = model.parse_losses(model(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        # Processes wait for each other's gradient of every parameter.
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    if not any(counts):
        assert parts['loss_oks'] == parts['loss_keypoint'] == 0


def test_neighbours_in_a_batch_do_not_matter(model):
    """Whole network: alone and padded as far, an image has the same poses.

    Padded less it has slightly others, as with the authors' code: the
    convolutions see the padding, and positions of queries are in units of
    the padded image.
    """
    model.eval()
    sizes = [(64, 96), (128, 160), (100, 60)]
    batch = make_batch([1, 1, 1], sizes)
    with torch.no_grad():
        together = model.test_step(batch)
        batch = model.data_preprocessor(make_batch([1, 1, 1], sizes))
        for i, (h, w) in enumerate(sizes):
            own = batch['data_samples'][i : i + 1]
            [alone] = model.predict(batch['inputs'][i : i + 1], own)
            expected = alone.pred_instances
            actual = together[i].pred_instances
            assert len(actual.keypoints) == 4
            assert (expected.keypoints >= 0).all()
            assert (expected.keypoints <= (w, h)).all()
            for field in ('keypoints', 'bboxes', 'bbox_scores'):
                np.testing.assert_allclose(
                    actual[field], expected[field], rtol=1e-4, atol=1e-4
                )


@pytest.mark.parametrize('width', [96, 80], ids=['whole', 'padded'])
def test_stacked_images_are_learned_as_a_list_of_them(model, width):
    """mmpose calls (3, h) the pad_shape of a stacked batch.

    The head reads batch_input_shape; one image shows ``width`` columns.
    """
    model.eval()
    results = []
    for stack in (list, torch.stack):
        batch = make_batch([2, 1], [(64, 96), (64, 96)])
        batch['inputs'] = stack(batch['inputs'])
        sizes = dict(img_shape=(64, width), input_size=(width, 64))
        batch['data_samples'][1].set_metainfo(sizes)
        batch = model.data_preprocessor(batch, training=True)
        shapes = [s.batch_input_shape for s in batch['data_samples']]
        assert shapes == [(64, 96)] * 2
        with torch.no_grad():
            losses = model(**batch, mode='loss')
            results.append([losses, model(**batch, mode='predict')])
    (losses, poses), (other_losses, other_poses) = results
    assert losses == other_losses
    for one, other in zip(poses, other_poses, strict=True):
        np.testing.assert_array_equal(
            one.pred_instances.keypoints, other.pred_instances.keypoints
        )


def test_flip_test_is_refused(cfg):
    """Stock ED-Pose takes the option and fails at an undefined name."""
    model = MODELS.build(
        dict(cfg.model, test_cfg=dict(cfg.model.test_cfg, flip_test=True))
    )
    with pytest.raises(ValueError, match='set flip_test=False'):
        model.eval().test_step(make_batch([1], [(64, 96)]))


def test_mixed_precision_by_the_option_of_mmengine(cfg, model, monkeypatch):
    """AmpOptimWrapper, which insists on a GPU though autocast does not."""
    module = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
    model = copy.deepcopy(model).train()
    option = dict(type='AmpOptimWrapper', dtype='bfloat16')
    wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper, **option))
    dtypes = set()
    model.head.encoder.layers[0].ffn.linear1.register_forward_hook(
        lambda module, args, out: dtypes.add(out.dtype)
    )
    before = {k: v.clone() for k, v in model.named_parameters()}
    batch = make_batch([2, 1], [(64, 96), (96, 64)])
    with torch.no_grad():
        exact = model(
            **model.data_preprocessor(batch, training=True), mode='loss'
        )
    dtypes.clear()
    parts = model.train_step(batch, wrapper)
    assert dtypes == {torch.bfloat16}
    expected, _ = model.parse_losses(exact)
    assert float(parts['loss']) == pytest.approx(float(expected), rel=0.05)
    for name, value in model.named_parameters():
        assert value.grad is None or value.grad.isfinite().all(), name
        assert value.isfinite().all(), name
        assert value.dtype == torch.float32
    moved = [not v.equal(before[k]) for k, v in model.named_parameters()]
    # At first the last layers of some networks are zero and stop gradients.
    assert np.mean(moved) > 0.8


def test_checkpointing_changes_no_gradient(cfg, model):
    """Of backbone, encoder and decoder, as the documentation tells."""
    option = cfg.model.copy()
    for part in (option.backbone, option.head.encoder, option.head.decoder):
        part.with_cp = True
    saving = MODELS.build(option)
    saving.load_state_dict(model.state_dict())
    batch = make_batch([2, 1], [(64, 96), (96, 64)])
    for network in (model, saving):
        network.train().zero_grad()
        inputs = network.data_preprocessor(batch, training=True)
        loss, _ = network.parse_losses(network(**inputs, mode='loss'))
        loss.backward()
    for (name, actual), expected in zip(
        saving.named_parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(
            actual.grad, expected.grad, rtol=1e-4, atol=1e-5, msg=name
        )


def test_swin_with_random_depth_is_computed_again_alike(repo_root):
    """Loss and gradients of Swin-T by the switches of Swin-L's recipe."""
    init_default_scope('mmpose')
    recipe = Config.fromfile(repo_root / FOLDER / SWIN_L).model
    base = repo_root / 'configs/_base_/models/group_pose_swin-t.py'
    option = Config.fromfile(base).model
    option.data_preprocessor = recipe.data_preprocessor
    option.backbone.init_cfg = None
    option.neck.out_channels = 32
    small = dict(num_layers=1, feedforward_dims=32)
    option.head.update(
        metainfo=recipe.head.metainfo,
        embed_dims=32,
        num_queries=4,
        encoder=small,
        decoder=dict(small),
    )
    plain = MODELS.build(option)
    plain.head.init_weights()
    option.backbone.with_cp = recipe.backbone.with_cp
    for part in ('encoder', 'decoder'):
        option.head[part].with_cp = recipe.head[part].with_cp
    saving = MODELS.build(option)
    saving.load_state_dict(plain.state_dict())
    batch = make_batch([2, 1], [(64, 96), (96, 64)])
    runs, losses = [], []
    for network, seed in ((plain, 1), (saving, 1), (plain, 2)):
        network.train()
        network.zero_grad()
        runs.append([])
        handle = (
            network.backbone.stages[3]
            .blocks[1]
            .ffn.register_forward_hook(
                lambda *_, calls=runs[-1]: calls.append(1)
            )
        )
        inputs = network.data_preprocessor(batch, training=True)
        torch.manual_seed(seed)
        loss, _ = network.parse_losses(network(**inputs, mode='loss'))
        loss.backward()
        handle.remove()
        losses.append(float(loss))
        if len(losses) == 2:
            for (name, actual), expected in zip(
                saving.named_parameters(), plain.parameters(), strict=True
            ):
                torch.testing.assert_close(
                    actual.grad, expected.grad, rtol=1e-4, atol=1e-5, msg=name
                )
    assert list(map(len, runs)) == [1, 2, 1]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    # Depth is random: another seed gives another loss.
    assert losses[2] != pytest.approx(losses[0], rel=1e-4)


def test_samples_of_the_pipeline_are_what_the_head_reads(cfg, model):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = pseudo_collate([dataset[i] for i in range(3)])
    batch = model.data_preprocessor(batch, training=True)
    targets = model.head.read_targets(batch['data_samples'])
    counts = [len(own) for own in targets]
    assert sum(counts) >= 3
    for own in targets:
        seen = own.keypoints[own.keypoints_visible > 0]
        assert len(seen) > 10
        assert (seen > 0).all() and (seen < 1).all()
        assert (own.areas > 0.005).all() and (own.areas < 0.6).all()


def test_trains_validates_and_goes_on(cfg, repo_root):
    cfg = cfg.copy()
    cfg.optim_wrapper.accumulative_counts = 3
    runner = Runner.from_cfg(cfg)
    start = {k: v.clone() for k, v in runner.model.named_parameters()}
    runner.train()
    history = runner.message_hub.log_scalars
    losses, _ = history['train/loss'].data
    assert len(losses) == 12
    assert np.isfinite(losses).all()
    assert 'val/coco/AP' in history
    for name, value in runner.model.named_parameters():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value, start[name]), name


@pytest.mark.parametrize('path', ONE_DEVICE)
def test_one_device_makes_updates_of_16_images(path, repo_root):
    """Rates and batches of the recipe on several devices and on one."""
    cfg = Config.fromfile(repo_root / FOLDER / path)
    images = cfg.train_dataloader.batch_size
    assert images * cfg.optim_wrapper.accumulative_counts == 16
    # mmengine scales the rate by the images of a step.
    assert cfg.auto_scale_lr.base_batch_size == images
    parent = re.sub(r'1xb\d-accum\d+', ONE_DEVICE[path], path)
    parent = Config.fromfile(repo_root / FOLDER / parent)
    assert parent.auto_scale_lr.base_batch_size == 16
    assert parent.optim_wrapper.optimizer == cfg.optim_wrapper.optimizer


@pytest.mark.parametrize(
    ('recipe', 'images', 'factor'),
    [
        (ACCUMULATING.replace('1xb2-accum8', '8xb2'), 2, 2 / 16),
        (ACCUMULATING.replace('1xb2-accum8', '8xb2'), 16, 1),
        (ACCUMULATING, 2, 1),
        (ACCUMULATING, 1, 1 / 2),
    ],
)
def test_rate_follows_the_images_of_a_step(
    cfg, repo_root, recipe, images, factor
):
    """As ``mim train --auto-scale-lr``, on one device."""
    recipe = Config.fromfile(repo_root / FOLDER / recipe)
    cfg = copy.deepcopy(cfg)
    cfg.optim_wrapper = recipe.optim_wrapper
    cfg.auto_scale_lr = dict(recipe.auto_scale_lr, enable=True)
    cfg.train_dataloader.batch_size = images
    runner = Runner.from_cfg(cfg)
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(wrapper, runner.auto_scale_lr)
    groups = wrapper.optimizer.param_groups
    rates = sorted({group['lr'] for group in groups})
    assert rates == pytest.approx([1e-5 * factor, 1e-4 * factor])


def test_backbone_learns_at_a_tenth_of_the_rate(cfg, repo_root, model):
    recipe = Config.fromfile(repo_root / FOLDER / ACCUMULATING).optim_wrapper
    groups = build_optim_wrapper(model, recipe).param_groups
    rates = {p: g['lr'] for g in groups for p in g['params']}
    decays = {g['weight_decay'] for g in groups}
    for name, parameter in model.named_parameters():
        expected = 1e-5 if name.startswith('backbone') else 1e-4
        assert rates[parameter] == pytest.approx(expected), name
    assert decays == {1e-4}

"""Whole images to people: targets, masks, losses and decoding."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.models.heads import AssociativeEmbeddingHead
from mmpose.registry import (
    DATASETS,
    KEYPOINT_CODECS,
    METRICS,
    MODELS,
    TRANSFORMS,
)

from gtpt_mm.codecs import ImageAssociativeEmbedding
from gtpt_mm.datasets import CrowdHeatmapMask
from gtpt_mm.models import MaskedHeatmapLoss

SAMPLE = 'sample/ae_vitpose-tiny_1xb8-14e_sample-128x128.py'
COCO = 'coco/ae_vitpose-b_8xb24-300e_coco-512x512.py'


@pytest.fixture
def read(repo_root):
    def from_file(name: str) -> Config:
        folder = repo_root / 'configs/body_2d_keypoint/vitpose'
        cfg = Config.fromfile(folder / name)
        init_default_scope(cfg.default_scope)
        return cfg

    return from_file


def perfect_maps(cfg, sample, size: tuple[int, int]) -> tuple:
    """Return heatmaps and tags (one value for a person) at half the size."""
    width, height = size[0] // 2, size[1] // 2
    codec = dict(cfg.codec, input_size=size, heatmap_size=(width, height))
    codec = KEYPOINT_CODECS.build(codec)
    people = sample.gt_instances
    # From the image to the input, as BottomupResize.
    scale = np.array(sample.input_size) / sample.input_scale
    keypoints = (people.keypoints - sample.input_center) * scale
    keypoints = keypoints + np.array(sample.input_size) / 2
    encoded = codec.encode(keypoints, people.keypoints_visible)
    tags = np.zeros((17, height, width), np.float32)
    for n, person in enumerate(encoded['keypoint_indices']):
        for k, (index, visible) in enumerate(person):
            if visible:
                y, x = divmod(index, width)
                near = slice(max(y - 5, 0), y + 6), slice(max(x - 5, 0), x + 6)
                # A neighbour's place is nobody else's.
                free = tags[k][near] == 0
                tags[k][near][free] = 5.0 * (n + 1)
    return (
        torch.from_numpy(encoded['heatmaps'])[None],
        torch.from_numpy(tags)[None],
    )


def answer(cfg, data) -> list:
    """Let the config's estimator predict from perfect maps."""
    model = copy.deepcopy(cfg.model)
    model.backbone.arch = dict(embed_dims=32, depth=1, num_heads=2)
    model.head.in_channels = 32
    model = MODELS.build(model).eval()
    sample = data['data_samples']
    maps, tags = perfect_maps(cfg, sample, sample.input_size)
    mirror = sample.flip_indices
    flipped = maps[:, mirror].flip(-1), tags[:, mirror].flip(-1)
    outputs = [(maps, tags), flipped]  # of the two passes of the flip test
    model.head.forward = lambda feats: outputs.pop(0)
    with torch.no_grad():
        return model.test_step(pseudo_collate([data]))


def score(cfg, dataset_cfg, ann_file: str) -> float:
    """Return the AP of perfect maps."""
    dataset = DATASETS.build(dataset_cfg)
    metric = METRICS.build(dict(cfg.val_evaluator, ann_file=ann_file))
    metric.dataset_meta = dataset.metainfo
    for data in dataset:
        metric.process([data], [s.to_dict() for s in answer(cfg, data)])
    return metric.evaluate(size=len(dataset))['coco/AP']


@pytest.mark.parametrize('name', [COCO, SAMPLE])
def test_true_maps_of_real_images_decode_to_their_people(
    name, read, shared_dir
):
    """Targets, flip test, grouping, the way back, the metric: all of it."""
    cfg = read(name)
    folder = shared_dir / 'data/real/coco'
    dataset = dict(
        cfg.val_dataloader.dataset,
        data_root=str(folder) + '/',
        ann_file='test_coco.json',
        data_prefix=dict(img=''),
    )
    least = 0.95 if name == COCO else 0.7
    assert score(cfg, dataset, str(folder / 'test_coco.json')) > least


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Eight pictures of several drawn people."""
    from pose_samples import generate

    root = tmp_path_factory.mktemp('bottomup')
    generate(root, layouts=['coco'], num_train=8, num_val=4, seed=5)
    return root / 'coco'


def test_true_maps_of_drawn_people_decode_to_them(read, drawn):
    cfg = read(COCO)
    dataset = dict(cfg.val_dataloader.dataset, data_root=str(drawn) + '/')
    ann_file = str(drawn / dataset['ann_file'])
    assert score(cfg, dataset, ann_file) > 0.95


def test_round_trip_of_one_person(read):
    """Within a quarter of a pixel of the input, and nobody is made up."""
    cfg = read(COCO)
    codec = KEYPOINT_CODECS.build(cfg.codec)
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(40, 470, (1, 17, 2))
    encoded = codec.encode(keypoints, np.ones((1, 17), np.float32))
    maps = torch.from_numpy(encoded['heatmaps'])[None]
    maps = torch.nn.functional.interpolate(
        maps, (512, 512), mode='bilinear', align_corners=True
    )
    decoder = KEYPOINT_CODECS.build(cfg.model.head.decoder)
    [found], *_ = decoder.batch_decode(maps, torch.ones(1, 17, 512, 512))
    assert found.shape == (1, 17, 2)
    assert np.abs(found - keypoints).max() < 0.25


def test_people_without_keypoints_and_crowds_are_masked():
    """One corner by a polygon, one by run lengths, column by column."""
    polygon = [[0.0, 0.0, 50.0, 0.0, 50.0, 50.0, 0.0, 50.0]]
    crowd = dict(size=[100, 100], counts=[5000] + 100 * [50])
    data = dict(
        img_shape=(100, 100),
        input_size=(100, 100),
        invalid_segs=[polygon, crowd, None, []],
    )
    mask = CrowdHeatmapMask()(data)['heatmap_mask']
    assert not mask[10, 10]
    assert mask[90, 90] and mask[90, 10] and mask[60, 90]
    # 5000 pixels are the left half; in the right one, the upper half.
    assert not mask[10, 90]


def test_targets_reach_the_loss(read, drawn):
    """Through the train pipeline: finite, all gradients, and it falls."""
    cfg = read(SAMPLE)
    dataset = dict(cfg.train_dataloader.dataset, data_root=str(drawn) + '/')
    dataset = DATASETS.build(dataset)
    batch = pseudo_collate([dataset[i] for i in range(4)])
    people = [
        s.gt_instance_labels.keypoint_indices for s in batch['data_samples']
    ]
    assert max(len(indices) for indices in people) > 1
    cfg.model.backbone.arch = dict(embed_dims=48, depth=3, num_heads=3)
    cfg.model.head.update(in_channels=48, deconv_out_channels=(32, 32))
    model = MODELS.build(cfg.model).train()
    inputs = model.data_preprocessor(batch, training=True)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        parts = model(**inputs, mode='loss')
        assert set(parts) == {'loss_kpt', 'loss_pull', 'loss_push'}
        optimizer.zero_grad()
        loss, _ = model.parse_losses(parts)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_loss_of_a_case_solved_by_hand():
    """Two people, two keypoints; a quarter of the pixels is masked."""
    head = AssociativeEmbeddingHead(
        4,
        2,
        deconv_out_channels=None,
        keypoint_loss=dict(type='MaskedHeatmapLoss'),
        tag_loss=dict(type='AssociativeEmbeddingLoss', loss_weight=0.1),
    )
    tags = torch.zeros(1, 2, 2, 2)
    tags[0, 0, 0, 0], tags[0, 1, 0, 0] = 1.0, 3.0  # person 0: mean 2
    tags[0, 0, 1, 1], tags[0, 1, 1, 1] = 4.0, 4.0  # person 1: mean 4
    head.forward = lambda feats: (torch.full((1, 2, 2, 2), 0.5), tags)
    codec = ImageAssociativeEmbedding((2, 2), (2, 2), sigma=1, use_udp=True)
    keypoints = np.array([[[0.0, 0.0]] * 2, [[1.0, 1.0]] * 2])
    data = codec.encode(keypoints, np.ones((2, 2), np.float32))
    data.update(
        img=np.zeros((2, 2, 3), np.uint8),
        heatmaps=np.zeros((2, 2, 2), np.float32),
        heatmap_mask=np.array([[False, True], [True, True]]),
        label_mapping_table=codec.label_mapping_table,
    )
    sample = TRANSFORMS.build(dict(type='PackPoseInputs'))(data)
    losses = head.loss(None, [sample['data_samples']])
    assert losses['loss_kpt'].item() == pytest.approx(0.25 * 3 / 4)
    # Pull: person 0 has a variance of 1, person 1 of 0; mean 0.5.
    assert losses['loss_pull'].item() == pytest.approx(0.1 * 0.5)
    # Push: with themselves 1 each, with the other exp(-4), over 2, halved.
    push = (2 + 2 * np.exp(-4)) / 2
    assert losses['loss_push'].item() == pytest.approx(0.1 * 0.5 * push, 1e-5)


def test_keypoints_outside_have_no_index():
    codec = ImageAssociativeEmbedding((64, 64), (16, 16), sigma=1)
    edge = [[-3.0, 8], [8, -3], [63.9, 8], [8, 63.9], [-1.9, 8], [61.9, 61.9]]
    indices = codec.encode(np.array([edge]))['keypoint_indices'][0]
    assert indices[:, 1].tolist() == [0, 0, 0, 0, 1, 1]
    assert (indices[indices[:, 1] > 0, 0] < 256).all()


def test_masked_loss_counts_unmasked_pixels():
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., :2] = True
    loss = MaskedHeatmapLoss(2.0)
    out = loss(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), None, mask)
    assert out.item() == pytest.approx(1.0)


def test_masked_heatmap_loss_names_targets_of_another_size():
    """Torch would broadcast a size of 1, with a warning only."""
    loss = MaskedHeatmapLoss()
    for shape in ((1, 3, 8, 8), (1, 1, 4, 4), (1, 17, 4, 4)):
        with pytest.raises(ValueError, match=r'\(1, 3, 4, 4\).*targets are'):
            loss(torch.ones(1, 3, 4, 4), torch.zeros(shape))

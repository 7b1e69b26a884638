"""What every registered class promises, whatever it computes.

Networks are those of the repository's configs, shrunk: a class that no case
below builds fails ``test_every_network_has_a_case``.
"""

import copy
import inspect
import json
import pickle
import re
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement
from mmpose.registry import DATASETS, KEYPOINT_CODECS, MODELS, TRANSFORMS
from support.configs import (
    apply_pipeline,
    build_meta,
    draw_people,
    draw_person,
    find_configs,
    innermost,
    is_end_to_end,
    read_config,
    shrink,
    shrink_steps,
)
from support.fill import fill_by_name

from gtpt_mm.engine.hooks.freeze import freeze

#: The config of each case, by a part of its name that no other has; and
#: options of the backbone that no config has.
CASES = {
    'gtpt': ('gtpt-t_1xb16-14e_sample-96x64', {}),
    'gtpt-guided': ('gtpt-t_small-set', {}),
    'gtpt-wholebody': ('gtpt-t_1xb16-14e_sample-wholebody', {}),
    'hevitpose': ('hevitpose-t_1xb16-6e_sample-coco', {}),
    'efficientvit': ('efficientvit-m4_peow1', {}),
    'vitpose': ('[-_]vitpose-s_1xb16-14e_sample', {}),
    'windows': ('win8-shift-pool', {}),
    'rel-pos': ('win8-shift-pool', {'attention.rel_pos': True}),
    'minimal': ('vitpose-b-minimal', {}),
    'frozen-predictor': ('vitpose-b-fp_', {}),
    'bottomup': ('ae_vitpose-tiny', {}),
    'token': ('vitpose-s-token', {}),
    'student': ('vitpose-tiny-distill', {}),
    'ps-experts': ('vitpose-plus-t_1xb32-14e', {}),
    'i-experts': ('vitpose-plus-b_i-ffn', {}),
    'is-experts': ('vitpose-plus-b_is-ffn', {}),
    'group-pose': ('group-pose_res18_1xb8-20e_sample-coco', {}),
    'swin': ('group-pose_swin-t_8xb2-60e_coco', {}),
    'human-decoder': ('res50_human-decoder', {}),
}
#: Registered as models, but no networks: test_engine/test_cosine_ema.py.
NO_NETWORK = {'CosineEMA'}


def registered(registry) -> set[str]:
    """Return the names of our classes in a registry.

    Without those of the shims, which stand for stock classes.
    """
    return {
        name
        for name, kind in registry.module_dict.items()
        if kind.__module__.startswith('gtpt_mm.')
        and not kind.__module__.startswith('gtpt_mm.compat.')
    }


# ------------------------------------------------------------------ networks


def read_case(name: str):
    pattern, options = CASES[name]
    [path] = [p for p in find_configs() if re.search(pattern, p.name)]
    cfg = read_config(path)
    cfg.merge_from_dict(
        {f'model.backbone.{key}': value for key, value in options.items()}
    )
    if 'drop_path_rate' in cfg.model.backbone:
        cfg.model.backbone.drop_path_rate = 0.0  # no layer by chance
    return cfg


def make_batch(cfg, loader: str) -> list[dict]:
    """Return drawn samples, two or one of each dataset, of one size."""
    dataset = cfg[loader].dataset
    if 'datasets' in dataset:
        batch = []
        for name, part in dataset.datasets.items():
            data = draw_person(build_meta(part), len(batch))
            data = apply_pipeline(part.pipeline, data)
            index = list(dataset.names).index(name)
            data['data_samples'].set_metainfo(
                dict(
                    dataset_idx=index,
                    dataset_name=name,
                    dataset_names=tuple(dataset.names),
                )
            )
            batch.append(data)
        return batch
    dataset = innermost(dataset)
    meta, steps, draw = build_meta(dataset), dataset.pipeline, draw_person
    if is_end_to_end(cfg):
        steps, draw = shrink_steps(steps), draw_people
    return [apply_pipeline(steps, draw(meta, i)) for i in range(2)]


@cache
def build(name: str):
    """Return a case's model, and the batches to train it and to test it."""
    torch.manual_seed(0)
    np.random.seed(0)
    cfg = read_case(name)
    model = MODELS.build(shrink(cfg.model))
    fill_by_name(model)
    for hook in cfg.get('custom_hooks', []):
        if hook.type == 'FreezeHook':
            freeze(model, hook.get('frozen', ()), hook.get('trainable', ()))
    batches = [make_batch(cfg, f'{x}_dataloader') for x in ('train', 'val')]
    return model, *batches


@pytest.fixture(params=CASES)
def case(request):
    """A model to be changed at will, and its two batches."""
    model, *batches = build(request.param)
    init_default_scope('mmpose')
    return copy.deepcopy(model), *batches


def compute_loss(model, batch) -> torch.Tensor:
    inputs = model.data_preprocessor(
        pseudo_collate(copy.deepcopy(batch)), training=True
    )
    loss, parts = model.parse_losses(model(**inputs, mode='loss'))
    for name, part in parts.items():
        assert torch.as_tensor(part).isfinite().all(), name
    return loss


@torch.no_grad()
def predict(model, batch) -> list[list[np.ndarray]]:
    """Return what is predicted of each image: poses, scores, heatmaps."""
    model.eval()
    model.test_cfg['output_heatmaps'] = True
    results = model.test_step(pseudo_collate(copy.deepcopy(batch)))
    return [
        [
            result.pred_instances.keypoints,
            result.pred_instances.keypoint_scores,
            *(
                fields.numpy()
                for _, fields in result.get('pred_fields', {}).items()
            ),
        ]
        for result in results
    ]


def assert_same(actual, expected, **tolerances) -> None:
    for one, other in zip(actual, expected, strict=True):
        for found, wanted in zip(one, other, strict=True):
            np.testing.assert_allclose(found, wanted, **tolerances)


def test_every_network_has_a_case():
    used = {
        type(m).__name__ for name in CASES for m in build(name)[0].modules()
    }
    assert registered(MODELS) - NO_NETWORK == used & registered(MODELS)


def test_every_parameter_learns(case):
    model, batch, _ = case
    loss = compute_loss(model.train(), batch)
    assert loss > 0
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_prediction_is_repeatable(case):
    model, _, batch = case
    assert_same(predict(model, batch), predict(model, batch), rtol=0)


def test_an_image_does_not_depend_on_its_batch(case):
    """Images of one size: others are padded, which Group Pose sees.

    In double precision: rounding may choose other tokens to prune.
    """
    model, _, batch = case
    together = predict(model.double(), batch)
    for i, sample in enumerate(batch):
        assert_same(
            predict(model, [sample]), together[i : i + 1], rtol=1e-6, atol=1e-6
        )


def test_state_dict_is_all_that_a_model_is(case, request):
    """Weights load strictly into another model, which predicts the same."""
    model, _, batch = case
    cfg = read_case(request.node.callspec.params['case'])
    other = MODELS.build(shrink(cfg.model))
    other.load_state_dict(model.state_dict(), strict=True)
    assert_same(predict(other, batch), predict(model, batch), rtol=0)


@pytest.mark.parametrize(
    'duplicate',
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=['deepcopy', 'pickle'],
)
def test_copies_predict_the_same(case, duplicate):
    model, _, batch = case
    expected = predict(model, batch)
    twin = duplicate(model)
    for parameter in model.parameters():
        parameter.data.zero_()  # nothing is shared
    assert_same(predict(twin, batch), expected, rtol=0)


def test_losses_are_finite_in_bfloat16(case):
    model, batch, _ = case
    # mmpose's HeatmapHead hands its maps to numpy, which has no bfloat16.
    model.train_cfg = dict(compute_acc=False)
    expected = compute_loss(model.train(), batch)
    with torch.autocast('cpu', torch.bfloat16):
        loss = compute_loss(model, batch)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.2, atol=0)


# ------------------------------------------ codecs, transforms and datasets

CODECS = dict(
    GroupPoseLabel=dict(),
    ImageAssociativeEmbedding=dict(
        input_size=(64, 48), heatmap_size=(16, 12), use_udp=True
    ),
    UnroundedSimCCLabel=dict(input_size=(64, 48)),
)
TRANSFORM_CASES = dict(
    AnnotatedVisibility=dict(),
    ClippedRandomBBoxTransform=dict(),
    CropBBox=dict(),
    CrowdHeatmapMask=dict(),
    GroupPoseCrop=dict(min_size=90, max_size=120),
    GroupPoseFlip=dict(prob=1.0),
    GroupPoseResize=dict(short_sides=[80, 96]),
    GroupPoseResizedCrop=dict(short_sides=[80], min_size=60, max_size=70),
    PackImage=dict(),
    RandomHalfBodyByIds=dict(
        upper_body_ids=range(11), lower_body_ids=range(11, 17)
    ),
)
DATASET_CASES = dict(
    CocoPeopleDataset=dict(data_mode='bottomup'),
    CrowdPosePeopleDataset=dict(data_mode='bottomup'),
    APT36KDataset={},
    MultiDataset=dict(names=['coco']),
    RepeatedFraction=dict(fraction=0.5),
)


def duplicates(value) -> list:
    return [copy.deepcopy(value), pickle.loads(pickle.dumps(value))]


def test_every_codec_transform_and_dataset_has_a_case():
    assert registered(KEYPOINT_CODECS) == set(CODECS)
    assert registered(TRANSFORMS) == set(TRANSFORM_CASES)
    assert registered(DATASETS) == set(DATASET_CASES)


def assert_equal(actual, expected) -> None:
    """Compare nested dicts, lists and arrays."""
    if isinstance(expected, BaseDataElement):
        assert_equal(actual.to_dict(), expected.to_dict())
    elif isinstance(expected, dict):
        assert set(actual) == set(expected)
        for key, value in expected.items():
            assert_equal(actual[key], value)
    elif isinstance(expected, list | tuple):
        for one, other in zip(actual, expected, strict=True):
            assert_equal(one, other)
    else:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize('name', CODECS)
def test_copies_of_a_codec_encode_the_same(name):
    codec = KEYPOINT_CODECS.build(dict(type=name, **CODECS[name]))
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(5, 40, (2, 17, 2))
    sample = dict(
        keypoints=keypoints,
        keypoints_visible=np.ones((2, 17)),
        area=np.array([400.0, 900.0]),
        bbox=np.array([[5.0, 5, 25, 25], [2, 10, 32, 40]]),
    )
    if 'SimCC' in name:  # one person at a time
        sample = {key: value[:1] for key, value in sample.items()}
    accepted = inspect.signature(codec.encode).parameters
    sample = {key: sample[key] for key in sample.keys() & accepted.keys()}
    if 'img_shape' in accepted:
        sample['img_shape'] = (48, 64)
    for twin in duplicates(codec):
        assert_equal(twin.encode(**sample), codec.encode(**sample))


@pytest.mark.parametrize('name', TRANSFORM_CASES)
def test_copies_of_a_transform_do_the_same(name):
    init_default_scope('mmpose')
    step = TRANSFORMS.build(dict(type=name, **TRANSFORM_CASES[name]))
    meta = DATASETS.build(dict(type='CocoWholeBodyDataset', lazy_init=True))
    if name.startswith('GroupPose'):
        data = draw_people(meta.metainfo, 0)
        data.pop('raw_ann_info')  # of one person
    else:
        data = draw_person(meta.metainfo, 0)
        data.update(
            transformed_keypoints=data['keypoints'],
            bbox_center=np.array([[100, 120]], np.float32),
            bbox_scale=np.array([[160, 220]], np.float32),
            bbox_rotation=np.zeros(1, np.float32),
            invalid_segs=[[[5, 5, 20, 5, 20, 20]]],
            warp_mat=np.eye(2, 3),
            input_size=(200, 240),
            heatmaps=np.zeros((17, 60, 50), np.float32),
        )
    results = []
    for twin in (step, *duplicates(step)):
        np.random.seed(3)
        results.append(twin(copy.deepcopy(data)))
    for result in results[1:]:
        assert_equal(result, results[0])


@pytest.fixture
def people(tmp_path, name):
    """A file of two images with a person each; return its options."""
    num_keypoints = 14 if name == 'CrowdPosePeopleDataset' else 17
    points = np.full((num_keypoints, 3), 2.0)
    xy = np.random.default_rng(0).uniform(5, 30, (num_keypoints, 2))
    points[:, :2] = xy
    for i in range(2):
        cv2.imwrite(str(tmp_path / f'{i}.jpg'), np.zeros((40, 50, 3)))
    labels = dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=50, height=40)
            for i in range(2)
        ],
        annotations=[
            dict(
                id=i,
                image_id=i,
                category_id=1,
                bbox=[0, 5, 20, 20],
                area=400,
                iscrowd=0,
                num_keypoints=num_keypoints,
                keypoints=points.flatten().tolist(),
            )
            for i in range(2)
        ],
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'people.json').write_text(json.dumps(labels))
    return dict(
        data_root=f'{tmp_path}/',
        ann_file='people.json',
        data_prefix=dict(img=''),
        pipeline=[
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='PackPoseInputs'),
        ],
    )


@pytest.mark.parametrize('name', DATASET_CASES)
def test_copies_of_a_dataset_load_the_same(name, people):
    init_default_scope('mmpose')
    inner = dict(type='CocoDataset', **people)
    if name == 'MultiDataset':
        people = dict(datasets=dict(coco=inner))
    elif name == 'RepeatedFraction':
        people = dict(dataset=inner)
    dataset = DATASETS.build(dict(type=name, **people, **DATASET_CASES[name]))
    assert len(dataset) > 0
    for twin in duplicates(dataset):
        assert len(twin) == len(dataset)
        assert twin.metainfo.keys() == dataset.metainfo.keys()
        for i in range(len(dataset)):
            assert_equal(twin[i], dataset[i])

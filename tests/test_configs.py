"""Every config loads, is consistent, and trains one step."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS, MODELS, TRANSFORMS

from gtpt_mm.engine.hooks.freeze import freeze

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path
    for folder in ('configs', 'projects')
    for path in (ROOT / folder).rglob('*.py')
    if 'configs' in path.parts
    # A pretraining has no keypoints, several datasets have codec, loader and
    # metric of each: tests of their own.
    and not {'_base_', 'pretrain', 'multi_dataset'} & set(path.parts)
)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def cfg(request):
    cfg = Config.fromfile(request.param)
    init_default_scope(cfg.default_scope)
    return cfg


def evaluators(cfg) -> list[dict]:
    """Return the metrics of validation and test, one or several of each."""
    both = (cfg.val_evaluator, cfg.test_evaluator)
    return [m for e in both for m in (e if isinstance(e, list) else [e])]


def innermost(dataset: dict) -> dict:
    """Return the dataset inside of wrappers, which has files and pipeline."""
    return innermost(dataset.dataset) if 'dataset' in dataset else dataset


def is_end_to_end(cfg) -> bool:
    """Tell whether the model sees all people of an image at once."""
    return cfg.model.head.type.endswith('GroupPoseHead')


def test_model_pipeline_and_codec_agree(cfg):
    codec = cfg.codec
    if not is_end_to_end(cfg):  # there it is a part of the network
        decoder = dict(codec)
        if cfg.data_mode == 'bottomup':
            # The test reads heat maps as large as the input.
            decoder['heatmap_size'] = codec.input_size
        assert cfg.model.head.decoder == decoder
    # Convolutional backbones take any size and are not told.
    img_size = cfg.model.backbone.get('img_size')
    assert img_size is None or tuple(img_size) == codec.input_size[::-1]
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for step in innermost(cfg[loader].dataset).pipeline:
            if 'input_size' in step:
                assert step.input_size == codec.input_size
            if step.type == 'GenerateTarget':
                assert step.encoder == codec


def test_name_tells_arch_and_size(cfg):
    name = Path(cfg.filename).stem
    letter = re.match('(?:td-hm_hevitpose|gtpt|hevitpose)-([tsb])_', name)
    if letter:
        arch = dict(t='tiny', s='small', b='base')[letter[1]]
        assert cfg.model.backbone.arch == arch
    letter = re.match('(?:td-hm|ae)_vitpose-([sblh])[-_]', name)
    if letter:
        arch = dict(s='small', b='base', l='large', h='huge')[letter[1]]
        assert cfg.model.backbone.arch == arch
        dims = MODELS.get('ViTPose').arch_settings[arch]['embed_dims']
        assert cfg.model.head.in_channels == dims
        assert ('-simple' in name) == ('neck' in cfg.model)
    size = re.search(r'-(\d+)x(\d+)$', name)
    if is_end_to_end(cfg):  # short side and limit of the long one
        resize = cfg.val_dataloader.dataset.pipeline[1]
        assert resize.short_sides == [int(size[1])]
        assert resize.max_long_side == int(size[2])
        return
    assert cfg.codec.input_size == (int(size[2]), int(size[1]))


def test_data_paths_agree(cfg):
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = innermost(cfg[loader].dataset)
        assert dataset.data_root == cfg.data_root
        if dataset.get('bbox_file'):
            assert dataset.bbox_file.startswith(cfg.data_root)
        if dataset.get('headbox_file'):
            assert dataset.headbox_file.startswith(cfg.data_root)
    files = [
        metric.ann_file for metric in evaluators(cfg) if 'ann_file' in metric
    ]
    # MPII's metric takes everything from the dataset.
    assert files or cfg.val_evaluator.type == 'MpiiPCKAccuracy'
    assert all(path.startswith(cfg.data_root) for path in files)


def test_average_lasts_as_long_as_the_training(cfg):
    for hook in cfg.get('custom_hooks', []):
        if hook.type == 'CosineEMAHook' and hook.get('total_epochs'):
            assert hook.total_epochs == cfg.train_cfg.max_epochs


def build_meta(dataset: dict) -> dict:
    """Return the metainfo of a config's dataset without its files."""
    dataset = dict(
        type=dataset.type, lazy_init=True, metainfo=dataset.get('metainfo')
    )
    return DATASETS.build(dataset).metainfo


def draw_person(meta: dict, index: int) -> dict:
    """What a dataset hands to its pipeline, of random values."""
    rng = np.random.default_rng(index)
    num_keypoints = meta['num_keypoints']
    data = dict(
        img=rng.integers(0, 255, (240, 200, 3), np.uint8),
        img_shape=(240, 200),
        ori_shape=(240, 200),
        img_path='',
        id=index,
        img_id=index,
        category_id=1,
        bbox=np.array([[20, 10, 180, 230]], np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=rng.uniform(30, 170, (1, num_keypoints, 2)),
        keypoints_visible=np.ones((1, num_keypoints), np.float32),
        upper_body_ids=meta['upper_body_ids'],
        lower_body_ids=meta['lower_body_ids'],
        flip_pairs=meta['flip_pairs'],
        flip_indices=meta['flip_indices'],
        dataset_keypoint_weights=meta['dataset_keypoint_weights'],
    )
    if meta['dataset_name'] == 'coco_wholebody':
        flags = np.pad(data['keypoints'][0], ((0, 0), (0, 1)))
        flags[:, 2] = 2
        fields = np.split(flags, [17, 23, 91, 112])
        names = ('keypoints', 'foot_kpts', 'face_kpts')
        names += ('lefthand_kpts', 'righthand_kpts')
        data['raw_ann_info'] = {
            name: field.flatten().tolist()
            for name, field in zip(names, fields, strict=True)
        }
    return data


def draw_people(meta: dict, index: int) -> dict:
    """What a dataset hands to the pipeline of an end-to-end model."""
    data = draw_person(meta, index)
    for key in ('bbox', 'bbox_score', 'keypoints', 'keypoints_visible'):
        data[key] = np.repeat(data[key], 2, axis=0).astype(np.float32)
    return {
        **data,
        'id': [1, 2],
        'category_id': np.ones(2, int),
        'area': np.array([2e4, 9e3], np.float32),
    }


def shrink_steps(steps: list[dict]) -> list[dict]:
    """Return the steps of an end-to-end model for images of 96 pixels."""
    steps = copy.deepcopy(steps)
    for step in steps:
        if step.type == 'GroupPoseResize':
            step.update(short_sides=[96], max_long_side=None)
        elif step.type == 'GroupPoseCrop':
            step.update(min_size=64, max_size=90)
        elif step.type == 'RandomChoice':
            step.transforms = [shrink_steps(s) for s in step.transforms]
    return steps


def shrink_end_to_end(model: dict) -> dict:
    """Return the config of Group Pose with small layers."""
    model = copy.deepcopy(model)
    if model.backbone.type == 'OfficialSwin':
        model.backbone.update(
            embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8)
        )
        model.neck.in_channels = [32, 64, 128]
    small = dict(num_layers=2, feedforward_dims=64)
    for part in ('encoder', 'decoder'):
        model.head[part] = {**model.head.get(part, {}), **small}
    return model


def shrink(model: dict) -> dict:
    """Return the config of a model, of a large one with little in it."""
    if model.head.type.endswith('GroupPoseHead'):
        model = shrink_end_to_end(model)
        # No more than there are tokens.
        model.head.num_queries = min(12, model.head.get('num_queries', 12))
        if 'human_decoder' in model.head:
            model.head.human_decoder.num_humans = 20
        return model
    if model.backbone.type != 'ViTPose':
        return model
    model = copy.deepcopy(model)
    for part in (model, model.get('teacher')):
        if part:
            part.backbone.arch = dict(embed_dims=32, depth=2, num_heads=2)
            part.head.in_channels = 32
    if model.type == 'KnowledgeTokenDistiller':
        model.backbone.knowledge_dims = 32
    return model


def train_one_step(cfg) -> None:
    """Two drawn people through the config's own pipeline and model."""
    dataset = innermost(cfg.train_dataloader.dataset)
    meta = build_meta(dataset)
    steps, draw = dataset.pipeline, draw_person
    if is_end_to_end(cfg):
        steps, draw = shrink_steps(steps), draw_people
    else:
        head = cfg.model.head
        num_keypoints = head.get('num_keypoints', head.get('out_channels'))
        assert num_keypoints == meta['num_keypoints']
    pipeline = [
        TRANSFORMS.build(step) for step in steps if step.type != 'LoadImage'
    ]
    batch = []
    for i in range(2):
        data = draw(meta, i)
        for step in pipeline:
            data = step(data)
        batch.append(data)
    model = MODELS.build(shrink(cfg.model)).train()
    for hook in cfg.get('custom_hooks', []):
        if hook.type == 'FreezeHook':
            freeze(model, hook.get('frozen', ()), hook.get('trainable', ()))
    if is_end_to_end(cfg):
        assert model.head.num_keypoints == meta['num_keypoints']
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    inputs = model.data_preprocessor(pseudo_collate(batch), training=True)
    losses = model(**inputs, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_one_training_step(cfg):
    train_one_step(cfg)


def test_metric_is_registered(cfg):
    for evaluator in evaluators(cfg):
        assert METRICS.get(evaluator.type) is not None


@pytest.mark.parametrize(
    'metafile', sorted((ROOT / 'configs').rglob('*.yml')), ids=lambda p: p.stem
)
def test_metafile_names_its_configs(metafile):
    entries = yaml.safe_load(metafile.read_text())['Models']
    listed = [ROOT / entry['Config'] for entry in entries]
    assert all(path.is_file() for path in listed)
    names = [entry['Name'] for entry in entries]
    assert names == [path.stem for path in listed]
    assert {path.parent for path in listed} == {metafile.parent}


#: Number of keypoints of the skeletons on GTPT's page.
SKELETONS = dict(halpe26=26, halpe=136)


@pytest.mark.parametrize('skeleton', SKELETONS)
def test_skeleton_of_the_docs_is_a_config(skeleton, tmp_path):
    """The page on GTPT shows two skeletons; each of them trains."""
    page = (ROOT / 'docs/models/gtpt.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    [text] = [block for block in blocks if f'_{skeleton}-' in block]
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    path = tmp_path / 'mine' / f'{skeleton}.py'
    path.parent.mkdir()
    path.write_text(text)
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    assert cfg.val_evaluator.ann_file.startswith(cfg.data_root)
    meta = build_meta(cfg.train_dataloader.dataset)
    assert meta['dataset_name'] == skeleton
    assert meta['num_keypoints'] == SKELETONS[skeleton]
    train_one_step(cfg)

"""Configs of several datasets are consistent, and train one step."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import METRICS, MODELS, TRANSFORMS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path
    for folder in ('configs', 'projects')
    for path in (ROOT / folder).rglob('multi_dataset/**/*.py')
    if 'configs' in path.parts and '_base_' not in path.parts
)
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@pytest.fixture(scope='module')
def single():
    """The tests of the other configs, for what they draw."""
    spec = importlib.util.spec_from_file_location(
        'test_configs', ROOT / 'tests/test_configs.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def cfg(request):
    cfg = Config.fromfile(request.param)
    init_default_scope(cfg.default_scope)
    return cfg


def test_names_agree(cfg):
    """The same datasets in the same order, everywhere."""
    names = cfg.model.head.names
    assert sorted(names) == sorted(cfg.model.head.heads)
    experts = cfg.model.backbone.experts
    assert experts is None or experts.num_experts == len(names)
    for loader in LOADERS:
        assert cfg[loader].dataset.names == names
        assert set(cfg[loader].dataset.datasets) <= set(names)
    for split in ('val', 'test'):
        evaluator = cfg[f'{split}_evaluator']
        assert evaluator.names == names
        tested = cfg[f'{split}_dataloader'].dataset.datasets
        assert set(evaluator.metrics) == set(tested) == set(names)


def test_inferencer_is_told_what_to_do(cfg):
    pipeline = cfg.test_dataloader.dataset.pipeline
    with pytest.raises(ValueError, match='gtpt-mm split'):
        Compose(pipeline)


def steps_of(dataset, kind: str) -> list[dict]:
    return [step for step in dataset.pipeline if step.type == kind]


def test_each_dataset_agrees_with_its_head(cfg, single):
    """Codec, crop, flip test and number of keypoints."""
    img_size = cfg.model.backbone.img_size
    for loader in LOADERS:
        for name, dataset in cfg[loader].dataset.datasets.items():
            head = cfg.model.head.heads[name]
            unbiased = head.decoder.type == 'UDPHeatmap'
            assert unbiased == (name in ('coco', 'mpii'))
            [crop] = steps_of(dataset, 'TopdownAffine')
            assert crop.input_size == head.decoder.input_size
            assert crop.input_size == tuple(img_size)[::-1]
            assert crop.get('use_udp', False) == unbiased
            own = cfg.model.test_cfg.datasets.get(name, {})
            shift = {**cfg.model.test_cfg, **own}['shift_heatmap']
            assert shift == (not unbiased)
            targets = steps_of(dataset, 'GenerateTarget')
            assert len(targets) == (loader == 'train_dataloader')
            assert all(step.encoder == head.decoder for step in targets)
            meta = single.build_meta(dataset)
            assert meta['num_keypoints'] == head.out_channels


def test_half_bodies_are_not_of_mpii(cfg):
    for name, dataset in cfg.train_dataloader.dataset.datasets.items():
        num = len(steps_of(dataset, 'RandomHalfBody'))
        is_small = cfg.model.head.heads[name].decoder.input_size == (64, 96)
        assert num == (name != 'mpii' and not is_small)


def test_paths_agree(cfg):
    metrics = cfg.val_evaluator.metrics
    for loader in LOADERS:
        for name, dataset in cfg[loader].dataset.datasets.items():
            # Not the folder of another: the authors' AP-10K and APT-36K are.
            folder = Path(dataset.data_root).name
            assert folder == ('coco' if name == 'wholebody' else name)
    for name, dataset in cfg.val_dataloader.dataset.datasets.items():
        assert METRICS.get(metrics[name].type) is not None
        for key in ('bbox_file', 'headbox_file'):
            assert dataset.get(key, '').startswith(
                dataset.data_root if key in dataset else ''
            )
        if 'ann_file' in metrics[name]:
            path = dataset.data_root + dataset.ann_file
            assert metrics[name].ann_file == path


def test_name_tells_arch(cfg):
    letter = re.match('td-hm_vitpose-plus-([sblh])_', Path(cfg.filename).name)
    if letter:
        arch = dict(s='small', b='base', l='large', h='huge')[letter[1]]
        assert cfg.model.backbone.arch == arch
        dims = MODELS.get('ViTPose').arch_settings[arch]['embed_dims']
        assert cfg.model.head.shared.in_channels == dims
        # A quarter of the channels, which is the default.
        assert 'part_features' not in cfg.model.backbone.experts


def test_one_training_step(cfg, single):
    """A drawn person of each dataset, in one batch."""
    batch = []
    names = list(cfg.model.head.names)
    for name, dataset in cfg.train_dataloader.dataset.datasets.items():
        meta = single.build_meta(dataset)
        data = single.draw_person(meta, len(batch))
        for step in dataset.pipeline:
            if step.type != 'LoadImage':
                data = TRANSFORMS.build(step)(data)
        idx = names.index(name)
        data['data_samples'].set_metainfo(dict(dataset_idx=idx))
        batch.append(data)
    cfg.model.backbone.arch = dict(embed_dims=32, depth=2, num_heads=2)
    experts = cfg.model.backbone.experts
    if experts and experts.get('kind', 'partial') == 'partial':
        experts.part_features = 8
    cfg.model.head.shared.update(in_channels=32, deconv_out_channels=(8, 8))
    model = MODELS.build(cfg.model).train()
    inputs = model.data_preprocessor(pseudo_collate(batch), training=True)
    losses = model(**inputs, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize('part', ['small', 'base', 'large', 'huge'])
def test_parameters_are_those_of_the_table(part):
    """Millions of the backbone and of the six heads."""
    expected = dict(
        small=(30.5, 15.8),
        base=(121.2, 25.2),
        large=(429.2, 31.5),
        huge=(893.1, 37.8),
    )[part]
    folder = ROOT / 'configs/multi_dataset/vitpose_plus/six_datasets'
    [path] = folder.glob(f'td-hm_vitpose-plus-{part[0]}_*.py')
    cfg = Config.fromfile(path)
    init_default_scope('mmpose')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    for module, millions in zip(
        (model.backbone, model.head), expected, strict=True
    ):
        counted = sum(p.numel() for p in module.parameters()) / 1e6
        assert counted == pytest.approx(millions, abs=0.06)

"""Configs of several datasets are consistent, and train one step."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.dataset import Compose
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.registry import METRICS, MODELS
from support.configs import (
    LOADERS,
    apply_pipeline,
    build_meta,
    draw_person,
    find_configs,
    read_config,
    shrink,
    train_one_step,
)

from gtpt_mm.apis.model_names import select_dataset

CONFIGS = [path for path in find_configs() if 'multi_dataset' in path.parts]


def names_agree(cfg):
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


def predicts_without_a_split(cfg):
    """For each dataset, with its pipeline and skeleton."""
    for name in cfg.model.head.names:
        cfg.model.test_cfg.dataset = name
        head = cfg.model.head.heads[name]
        meta = dataset_meta_from_config(cfg, 'test')
        assert meta['num_keypoints'] == head.out_channels
        single, _ = select_dataset(cfg, name)
        pipeline = single.test_dataloader.dataset.pipeline
        assert pipeline == cfg.test_dataloader.dataset.datasets[name].pipeline
        Compose(pipeline)


def steps_of(dataset, kind: str) -> list[dict]:
    return [step for step in dataset.pipeline if step.type == kind]


def each_dataset_agrees_with_its_head(cfg):
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
            meta = build_meta(dataset)
            assert meta['num_keypoints'] == head.out_channels


def half_bodies_are_not_of_mpii(cfg):
    for name, dataset in cfg.train_dataloader.dataset.datasets.items():
        num = len(steps_of(dataset, 'RandomHalfBody'))
        is_small = cfg.model.head.heads[name].decoder.input_size == (64, 96)
        assert num == (name != 'mpii' and not is_small)


def paths_agree(cfg):
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


def name_tells_arch(cfg):
    letter = re.match(
        '(?:td-hm_)?vitpose-plus-([sblht])_', Path(cfg.filename).name
    )
    arch = dict(s='small', b='base', l='large', h='huge').get(letter[1])
    backbone, settings = (
        cfg.model.backbone,
        MODELS.get('ViTPose').arch_settings,
    )
    if arch:
        assert backbone.arch == arch
        dims = settings[arch]['embed_dims']
    else:
        dims = backbone.arch.embed_dims
        assert dims < settings['small']['embed_dims']
    assert cfg.model.head.shared.in_channels == dims
    # A quarter of the channels is the default, and not written.
    experts = backbone.experts or {}
    share = re.search('_ps-([0-9])_', cfg.filename)
    if 'part_features' in experts:
        assert experts.part_features == dims // int(share[1])
    else:
        assert share is None or share[1] == '4'


def trains_one_step(cfg):
    """A drawn person of each dataset, in one batch."""
    batch = []
    names = list(cfg.model.head.names)
    for name, dataset in cfg.train_dataloader.dataset.datasets.items():
        data = draw_person(build_meta(dataset), len(batch))
        data = apply_pipeline(dataset.pipeline, data)
        idx = names.index(name)
        data['data_samples'].set_metainfo(
            dict(
                dataset_idx=idx, dataset_name=name, dataset_names=tuple(names)
            )
        )
        batch.append(data)
    train_one_step(MODELS.build(shrink(cfg.model)), batch)


CHECKS = (
    names_agree,
    predicts_without_a_split,
    each_dataset_agrees_with_its_head,
    half_bodies_are_not_of_mpii,
    paths_agree,
    name_tells_arch,
    trains_one_step,
)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path, subtests):
    for check in CHECKS:
        with subtests.test(check.__name__):
            check(read_config(path))


@pytest.mark.parametrize('part', ['small', 'base', 'large', 'huge'])
def test_parameters_are_those_of_the_table(part):
    """Millions of the backbone and of the six heads."""
    expected = dict(
        small=(30.5, 15.8),
        base=(121.2, 25.2),
        large=(429.2, 31.5),
        huge=(893.1, 37.8),
    )[part]
    [path] = [p for p in CONFIGS if f'hm_vitpose-plus-{part[0]}_8x' in p.name]
    cfg = read_config(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    for module, millions in zip(
        (model.backbone, model.head), expected, strict=True
    ):
        counted = sum(p.numel() for p in module.parameters()) / 1e6
        assert counted == pytest.approx(millions, abs=0.06)

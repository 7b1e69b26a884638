"""Every config loads, is consistent, and trains one step."""

import re
from pathlib import Path

import mmpose
import pytest
import yaml
from mmpose.registry import METRICS, MODELS
from support.configs import (
    LOADERS,
    ROOT,
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
    train_one_step,
)

from gtpt_mm.engine import config_check
from gtpt_mm.engine.hooks.freeze import freeze

# A pretraining has no keypoints, several datasets have codec, loader and
# metric of each, the rows on photographs share theirs: tests of their own.
CONFIGS = [
    path
    for path in find_configs()
    if not {'pretrain', 'multi_dataset', 'photographs'} & set(path.parts)
]
ARCHS = dict(t='tiny', s='small', b='base', l='large', h='huge')


def evaluators(cfg) -> list[dict]:
    """Return the metrics of validation and test, one or several of each."""
    both = (cfg.val_evaluator, cfg.test_evaluator)
    return [m for e in both for m in (e if isinstance(e, list) else [e])]


def model_pipeline_and_codec_agree(cfg):
    codec = cfg.codec
    if not is_end_to_end(cfg):  # there it is a part of the network
        decoder = dict(codec)
        if cfg.data_mode == 'bottomup':
            # The test reads heatmaps as large as the input.
            decoder['heatmap_size'] = codec.input_size
        assert cfg.model.head.decoder == decoder
    # Convolutional backbones take any size and have no such argument.
    img_size = cfg.model.backbone.get('img_size')
    assert img_size is None or tuple(img_size) == codec.input_size[::-1]
    for loader in LOADERS:
        for step in innermost(cfg[loader].dataset).pipeline:
            if 'input_size' in step:
                assert step.input_size == codec.input_size
            if step.type == 'GenerateTarget':
                assert step.encoder == codec


def name_tells_arch(cfg):
    name, backbone = Path(cfg.filename).stem, cfg.model.backbone
    word, size = re.search(
        'gtpt_|(gtpt|hevitpose|vitpose|efficientvit|swin|res)-?(m?[0-9]+|[a-z]+)',
        name,
    ).groups()
    arch = backbone.get('arch')
    if word == 'res':
        assert backbone.depth == int(size)
    elif word == 'swin':
        assert backbone.embed_dims == dict(t=96, l=192)[size]
    elif word == 'efficientvit':
        assert arch == size
    elif word is None or size == 'tiny':  # smaller than any published one
        smallest = MODELS.get(backbone.type).arch_settings.values()
        assert arch.embed_dims < min(s['embed_dims'] for s in smallest)
    else:
        assert arch == ARCHS[size]


def name_tells_size(cfg):
    height, width = map(
        int, re.search(r'-(\d+)x(\d+)$', Path(cfg.filename).stem).groups()
    )
    if is_end_to_end(cfg):  # short side and limit of the long one
        resize = cfg.val_dataloader.dataset.pipeline[1]
        assert resize.short_sides == [height]
        assert resize.max_long_side == width
    else:
        assert cfg.codec.input_size == (width, height)


def head_fits_backbone(cfg):
    backbone = cfg.model.backbone
    if backbone.type != 'ViTPose' or not isinstance(backbone.arch, str):
        return
    settings = MODELS.get('ViTPose').arch_settings[backbone.arch]
    assert cfg.model.head.in_channels == settings['embed_dims']
    simple = '-simple' in Path(cfg.filename).stem
    assert simple == ('neck' in cfg.model)


def data_paths_agree(cfg):
    for loader in LOADERS:
        dataset = innermost(cfg[loader].dataset)
        assert dataset.data_root == cfg.data_root
        for key in ('bbox_file', 'headbox_file'):
            path = dataset.get(key)
            assert not path or path.startswith(cfg.data_root), path
    files = [
        metric.ann_file for metric in evaluators(cfg) if 'ann_file' in metric
    ]
    # MPII's metric takes everything from the dataset.
    assert files or cfg.val_evaluator.type == 'MpiiPCKAccuracy'
    assert all(path.startswith(cfg.data_root) for path in files)


def metrics_build(cfg):
    for evaluator in evaluators(cfg):
        metric = METRICS.get(evaluator.type)
        options = {k: v for k, v in evaluator.items() if k != 'type'}
        if 'ann_file' in options:  # there are no data here
            options.update(ann_file=None)
        metric(**options)


def trains_one_step(cfg):
    """Two drawn people through the config's own pipeline and model."""
    dataset = innermost(cfg.train_dataloader.dataset)
    meta = build_meta(dataset)
    steps, draw = dataset.pipeline, draw_person
    if is_end_to_end(cfg):
        steps, draw = shrink_steps(steps), draw_people
    batch = [apply_pipeline(steps, draw(meta, i)) for i in range(2)]
    model = MODELS.build(shrink(cfg.model))
    head = model.head
    num_keypoints = getattr(head, 'num_keypoints', None) or head.out_channels
    assert num_keypoints == meta['num_keypoints']
    for hook in cfg.get('custom_hooks', []):
        if hook.type == 'FreezeHook':
            freeze(model, hook.get('frozen', ()), hook.get('trainable', ()))
    train_one_step(model, batch)


CHECKS = (
    model_pipeline_and_codec_agree,
    name_tells_arch,
    name_tells_size,
    head_fits_backbone,
    data_paths_agree,
    metrics_build,
    trains_one_step,
)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path, subtests):
    for check in CHECKS:
        with subtests.test(check.__name__):
            check(read_config(path))


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
    cfg = read_config(path)
    assert cfg.val_evaluator.ann_file.startswith(cfg.data_root)
    meta = build_meta(cfg.train_dataloader.dataset)
    assert meta['dataset_name'] == skeleton
    assert meta['num_keypoints'] == SKELETONS[skeleton]
    trains_one_step(cfg)


def test_check_before_a_run_finds_nothing():
    """Nor in pretraining, several datasets and projects."""
    wrong = {
        path.name: [str(finding) for finding in findings]
        for path in find_configs()
        if (findings := config_check.check(read_config(path)))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ('ours', 'stock'),
    [
        (
            'vitpose/coco/td-hm_vitpose-b_8xb64-210e_coco-256x192.py',
            'td-hm_ViTPose-base_8xb64-210e_coco-256x192.py',
        ),
        (
            'hevitpose/coco/td-hm_hevitpose-b_2xb32-210e_coco-256x192.py',
            'td-hm_res50_8xb64-210e_coco-256x192.py',
        ),
    ],
)
def test_samples_are_loaded_by_the_steps_of_mmpose(ours, stock):
    """So docs/benchmarks.md times the loading of GTPT and Group Pose only."""
    installed = Path(mmpose.__file__).parent / '.mim'
    body = Path('configs/body_2d_keypoint')
    pair = (
        ROOT / body / ours,
        installed / body / 'topdown_heatmap/coco' / stock,
    )
    first, second = (
        read_config(path).train_dataloader.dataset.pipeline for path in pair
    )
    assert first == second

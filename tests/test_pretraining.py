"""Masked autoencoding on pose data, by mmpretrain's parts."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS

from gtpt_mm.datasets import CropBBox
from gtpt_mm.layers.expert_mlp import merge_expert
from gtpt_mm.layers.pos_embed import resize_pos_embed
from gtpt_mm.models import ViTPose

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'configs/pretrain/mae'
CONFIGS = sorted(FOLDER.rglob('*.py'))

#: Ours beside mmpretrain's, within a layer.
LAYER_NAMES = {
    'norm1': 'ln1',
    'attn': 'attn',
    'norm2': 'ln2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def cfg(request):
    cfg = Config.fromfile(request.param)
    init_default_scope(cfg.default_scope)
    return cfg


def name_in_mmpretrain(name: str) -> str:
    """Return the name of a parameter of ViTPose in the encoder of MAE."""
    name = name.replace('patch_embed.proj.', 'patch_embed.projection.')
    found = re.match(r'(layers\.\d+\.)(norm1|attn|norm2|mlp\.fc\d)(.*)', name)
    if found:
        name = found[1] + LAYER_NAMES[found[2]] + found[3]
    return name


def test_encoder_is_that_of_vitpose(cfg):
    """Every weight but positions and the last norm fits, and none is left."""
    pytest.importorskip('mmpretrain')
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
        letter = re.match('mae_vit-([sblh])_', Path(cfg.filename).stem)
        if letter:
            sizes = dict(s='small', b='base', l='large', h='huge')
            arch = sizes[letter[1]]
        else:
            given = cfg.model.backbone.arch
            arch = dict(
                embed_dims=given.embed_dims,
                depth=given.num_layers,
                num_heads=given.num_heads,
            )
        model = ViTPose(arch)
    encoder = backbone.state_dict()
    for name, value in model.state_dict().items():
        if name.partition('.')[0] in ('pos_embed', 'last_norm'):
            continue
        assert encoder.pop(name_in_mmpretrain(name)).shape == value.shape
    left = {name.partition('.')[0] for name in encoder}
    assert left == {'cls_token', 'pos_embed', 'ln1'}
    heads = backbone.layers[0].attn.num_heads
    assert heads == model.layers[0].attn.num_heads


def test_size_is_told_once(cfg):
    model = cfg.model
    grid = model.backbone.img_size // model.backbone.patch_size
    assert model.neck.num_patches == grid**2
    size = re.search(r'-(\d+)x(\d+)$', Path(cfg.filename).stem)
    assert size[1] == size[2] == str(model.backbone.img_size)
    [crop] = [s for s in cfg.train_pipeline if 'Resized' in s.type]
    assert crop.scale == model.backbone.img_size
    assert model.backbone.get('mask_ratio') == 0.75
    page = (FOLDER / 'coco/mae_coco.md').read_text()
    assert 'sample' in cfg.filename or f']({Path(cfg.filename).name})' in page


def test_crops_and_images_of_coco_and_aic(shared_dir):
    """Real files through the configs of both datasets, up to the batch."""
    pytest.importorskip('mmpretrain')
    files = dict(CocoDataset='test_coco.json', AicDataset='test_aic.json')
    lengths = []
    for kind in ('crop', 'image'):
        name = f'coco/mae_vit-b_8xb512-1600e_coco-aic-{kind}-224x224.py'
        cfg = Config.fromfile(FOLDER / name)
        init_default_scope(cfg.default_scope)
        dataset = cfg.train_dataloader.dataset
        for part in dataset.datasets:
            name = part.type.removesuffix('Dataset').lower()
            part.data_root = str(shared_dir / 'data/real' / name) + '/'
            part.ann_file = files[part.type]
            part.data_prefix = dict(img='')
        dataset = DATASETS.build(dataset)
        lengths.append(len(dataset))
        for i in (0, len(dataset) - 1):
            assert dataset[i]['inputs'].shape == (3, 224, 224)
            assert set(dataset[i]) == {'inputs', 'data_samples'}
    assert lengths[0] > lengths[1] > 4


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    from pose_samples import generate

    root = tmp_path_factory.mktemp('pretraining')
    generate(root, layouts=['coco'], num_train=24, num_val=1, seed=3)
    return root / 'coco'


@pytest.fixture(scope='module')
def trained(data_root, tmp_path_factory):
    """A runner that has trained a small encoder, and its last file."""
    pytest.importorskip('mmpretrain')
    folder = tmp_path_factory.mktemp('mae')
    name = 'sample/mae_vit-tiny_1xb32-10e_sample-crop-64x64.py'
    cfg = Config.fromfile(FOLDER / name)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.arch.update(
        embed_dims=96, num_layers=3, num_heads=3, feedforward_channels=384
    )
    cfg.model.neck.update(embed_dim=96, decoder_embed_dim=48)
    cfg.train_dataloader.update(
        batch_size=8, num_workers=0, persistent_workers=False
    )
    cfg.train_dataloader.dataset.update(
        data_root=str(data_root) + '/', indices=24
    )
    cfg.train_cfg.max_epochs = 6
    cfg.param_scheduler[0].end = 3
    cfg.default_hooks.logger.interval = 1
    cfg.visualizer.name = 'mae'
    cfg.work_dir = str(folder)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner, folder / 'epoch_6.pth'


def test_sample_config_trains(trained):
    """The loss falls."""
    runner, _ = trained
    losses, _ = runner.message_hub.log_scalars['train/loss'].data
    assert len(losses) == 18
    assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])


#: Of the encoder that ``trained`` has trained.
ARCH = dict(embed_dims=96, depth=3, num_heads=3)


def vitpose_backbones() -> list[dict]:
    """Backbones of all configs of ViTPose and ++, those alike once."""
    backbones = {}
    for path in sorted((ROOT / 'configs').rglob('*vitpose*.py')):
        if '_base_' in path.parts or path.name.startswith('td-hm_hevit'):
            continue
        backbone = Config.fromfile(path).model.backbone.to_dict()
        assert backbone['type'] == 'ViTPose', path
        backbone.update(arch=ARCH, init_cfg=None)
        if 'part_features' in backbone.get('experts', {}):
            backbone['experts']['part_features'] = 24
        backbones[repr(sorted(backbone.items()))] = backbone
    return list(backbones.values())


def test_file_starts_every_vitpose(trained):
    """Through MAEPretrained, as a config does it."""
    _, path = trained
    stored = torch.load(path)['state_dict']
    init_cfg = dict(type='MAEPretrained', checkpoint=str(path))
    backbones = vitpose_backbones()
    assert any('experts' in backbone for backbone in backbones)
    assert len({backbone['img_size'] for backbone in backbones}) > 5
    for backbone in backbones:
        model = MODELS.build({**backbone, 'init_cfg': init_cfg})
        model.init_weights()
        own = model.state_dict()
        if model.num_experts:
            own = merge_expert(own, model.num_experts - 1)
        for name, value in own.items():
            if name.startswith(('layers.', 'patch_embed.')):
                if '.rel_pos.' in name:
                    continue
                theirs = stored['backbone.' + name_in_mmpretrain(name)]
                assert torch.equal(value, theirs), name
        positions = stored['backbone.pos_embed'][:, 1:]
        expected = resize_pos_embed(positions, (4, 4), model.grid_size)
        assert torch.equal(own['pos_embed'], expected)


def test_layers_compute_what_those_of_the_encoder_do(trained):
    runner, path = trained
    init_cfg = dict(type='MAEPretrained', checkpoint=str(path))
    model = ViTPose(ARCH, (64, 48), init_cfg=init_cfg)
    model.init_weights()
    encoder = runner.model.backbone
    encoder.eval()
    x = torch.randn(2, 5, 96)
    with torch.no_grad():
        expected = found = x
        for ours, theirs in zip(
            model.eval().layers, encoder.layers, strict=True
        ):
            expected, found = theirs(expected), ours(found, (1, 5))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ('bbox', 'padding', 'corners'),
    [
        ((20, 10, 40, 50), 1.0, (20, 10, 40, 50)),
        ((20, 10, 40, 50), 1.5, (15, 0, 45, 60)),
        ((0, 0, 100, 80), 1.25, (0, 0, 100, 80)),
        ((99, 79, 100, 80), 0.1, (99, 79, 100, 80)),
    ],
)
def test_crop_is_the_box(bbox, padding, corners):
    img = np.arange(100 * 80, dtype=np.float32).reshape(80, 100)
    img = cv2.merge([img, img, img])
    data = dict(img=img, bbox=np.array([bbox], np.float32), keypoints=None)
    out = CropBBox(padding)(data)
    x1, y1, x2, y2 = corners
    np.testing.assert_array_equal(out['img'], img[y1:y2, x1:x2])
    assert out['img_shape'] == out['ori_shape'] == (y2 - y1, x2 - x1)
    assert 'keypoints' not in out


def test_bad_crops_are_named():
    with pytest.raises(ValueError, match='-1'):
        CropBBox(-1)
    data = dict(img=np.zeros((9, 9, 3)), bbox=np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r'\(2, 4\).*topdown'):
        CropBBox()(data)

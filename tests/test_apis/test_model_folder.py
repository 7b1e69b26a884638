"""A packed model predicts what the model predicted, wherever it lies."""

import json
import os
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import (
    MMPoseInferencer,
    inference_bottomup,
    inference_topdown,
    init_model,
)
from mmpose.registry import MODELS
from support.configs import read_config, shrink
from support.runs import mim, read_metrics

from gtpt_mm.apis import PoseInferencer
from gtpt_mm.apis.model_folder import find_folder, is_folder, pack, read_folder
from gtpt_mm.apis.model_names import load_model
from gtpt_mm.cli import main
from gtpt_mm.convert import split_state_dict
from pose_samples import generate

BODY = 'configs/body_2d_keypoint'
CONFIGS = {
    'gtpt': f'{BODY}/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py',
    'hevitpose': (
        f'{BODY}/hevitpose/sample/'
        'td-hm_hevitpose-t_1xb16-6e_sample-coco-128x96.py'
    ),
    'vitpose': (
        f'{BODY}/vitpose/sample/td-hm_vitpose-s_1xb16-14e_sample-96x64.py'
    ),
    'group_pose': (
        f'{BODY}/group_pose/sample/'
        'group-pose_res18_1xb8-20e_sample-coco-96x144.py'
    ),
}
PLUS = (
    'configs/multi_dataset/vitpose_plus/sample/'
    'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
)
METAINFO = """
dataset_info = dict(
    dataset_name='pendulum',
    keypoint_info={
        0: dict(name='pivot', id=0, color=[255, 0, 0], type='', swap=''),
        1: dict(name='mass', id=1, color=[0, 0, 255], type='', swap=''),
    },
    skeleton_info={0: dict(link=('pivot', 'mass'), id=0, color=[0, 9, 0])},
    joint_weights=[1.0, 1.0],
    sigmas=[0.05, 0.1])
"""


def write_checkpoint(cfg: Config, path):
    """Save random weights of a config's model; return the model."""
    torch.manual_seed(3)
    if cfg.model.type == 'MultiDatasetPoseEstimator':
        model = MODELS.build(cfg.model)
    else:
        model = init_model(cfg, None, device='cpu')
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return model


@pytest.fixture
def make(tmp_path):
    """Return a function that packs a small model of a config."""

    def pack_config(config: str, name: str = 'my_pose', edit=None):
        cfg = read_config(config)
        cfg.model = shrink(cfg.model)
        if edit:
            edit(cfg)
        path = tmp_path / f'{name}_config.py'
        cfg.dump(path)
        model = write_checkpoint(read_file(path), tmp_path / f'{name}.pth')
        folder = pack(path, tmp_path / f'{name}.pth', tmp_path / name)
        return model, folder

    return pack_config


def read_file(path):
    return Config.fromfile(path)


@pytest.mark.parametrize('name', CONFIGS)
def test_predicts_the_same_elsewhere(name, make, tmp_path, monkeypatch):
    """Moved, and with nothing else at hand."""
    model, folder = make(CONFIGS[name])
    elsewhere = tmp_path / 'else' / 'where'
    shutil.move(folder, elsewhere)
    monkeypatch.chdir(tmp_path / 'else')
    cfg, weights = read_folder(elsewhere)
    loaded = init_model(cfg, str(weights), device='cpu')
    image = np.random.default_rng(0).integers(0, 255, (96, 80, 3), np.uint8)
    infer = inference_bottomup if name == 'group_pose' else inference_topdown
    expected, got = infer(model, image)[0], infer(loaded, image)[0]
    named = infer(load_model(elsewhere, device='cpu'), image)[0]
    stock = infer(init_model('where', device='cpu'), image)[0]
    for other in (named, stock):
        np.testing.assert_array_equal(
            other.pred_instances.keypoints, got.pred_instances.keypoints
        )
    np.testing.assert_array_equal(
        got.pred_instances.keypoints, expected.pred_instances.keypoints
    )
    assert sorted(os.listdir(elsewhere)) == [
        'README.md',
        'config.py',
        'model.json',
        'model.safetensors',
    ]


def test_a_folder_on_the_hub(make, server):
    """The real client, against a hub on the loopback."""
    model, folder = make(CONFIGS['vitpose'])
    server.models['me/pose'] = {
        path.name: path.read_bytes() for path in folder.iterdir()
    } | {'other.bin': b'not of the model'}
    image = np.random.default_rng(0).integers(0, 255, (96, 80, 3), np.uint8)
    fetched = find_folder('hf://me/pose')
    assert sorted(p.name for p in fetched.iterdir()) == sorted(
        p.name for p in folder.iterdir()
    )
    loaded = load_model('hf://me/pose', device='cpu')
    found, expected = (
        next(PoseInferencer(name, 'whole_image', 'cpu')(image)).keypoints
        for name in ('hf://me/pose', folder)
    )
    np.testing.assert_array_equal(found, expected)
    found, expected = (
        inference_topdown(each, image)[0].pred_instances.keypoints
        for each in (loaded, model)
    )
    np.testing.assert_array_equal(found, expected)
    assert not [path for _, path in server.asked if 'other.bin' in path]
    with pytest.raises(ConnectionError, match='hf://me/nothing cannot be fe'):
        find_folder('hf://me/nothing')


@pytest.mark.slow
def test_mim_trains_and_tests_from_a_folder(make, tmp_path):
    """Fine-tuning on drawn people, in the folder's own config."""
    _, folder = make(CONFIGS['vitpose'])
    data = tmp_path / 'data'
    generate(data, ['coco'], 8, 2, max_people=1, image_size=(96, 96))
    options = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=4']
    for name in ('train', 'val', 'test'):
        options += [
            f'{name}_dataloader.dataset.data_root={data}/coco/',
            f'{name}_dataloader.num_workers=0',
            f'{name}_dataloader.persistent_workers=False',
        ]
    cfg = Config.fromfile(folder / 'config.py')
    for name in ('val', 'test'):
        ann_file = cfg[f'{name}_dataloader'].dataset.ann_file
        options += [
            f'{name}_dataloader.dataset.bbox_file=',
            f'{name}_evaluator.ann_file={data}/coco/{ann_file}',
        ]
    options = ['--cfg-options', *options]
    work_dir = tmp_path / 'work'
    printed = mim('train', folder / 'config.py', work_dir, *options)
    assert f'Load checkpoint from {folder}/model.safetensors' in printed
    checkpoint = work_dir / 'epoch_1.pth'
    test = ['--checkpoint', checkpoint, *options]
    mim('test', folder / 'config.py', tmp_path / 'test', *test)
    assert 'coco/AP' in read_metrics(tmp_path / 'test')
    packed = ['--checkpoint', folder / 'model.safetensors', *options]
    mim('test', folder / 'config.py', tmp_path / 'packed', *packed)
    assert 'coco/AP' in read_metrics(tmp_path / 'packed')


def test_mmpose_inferencer_takes_a_folder(make):
    model, folder = make(CONFIGS['vitpose'])
    image = np.random.default_rng(0).integers(0, 255, (96, 80, 3), np.uint8)
    inferencer = MMPoseInferencer(
        f'{folder}/', device='cpu', det_model='whole_image'
    )
    [[person]] = next(inferencer(image))['predictions']
    [sample] = inference_topdown(model, image)
    np.testing.assert_allclose(
        person['keypoints'], sample.pred_instances.keypoints[0], atol=1e-3
    )


def test_own_keypoints_need_no_metainfo_file(make, tmp_path):
    file = tmp_path / 'pendulum.py'
    file.write_text(textwrap.dedent(METAINFO))

    def edit(cfg):
        for loader in ('train', 'val', 'test'):
            dataset = cfg[f'{loader}_dataloader'].dataset
            dataset.metainfo = dict(from_file=str(file))
        cfg.model.head.out_channels = 2
        cfg.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint='gone.pth'
        )

    # The backbone's own weights are fetched at the start of a training only.
    _, folder = make(CONFIGS['vitpose'], edit=edit)
    file.unlink()
    cfg, weights = read_folder(folder)
    model = init_model(cfg, str(weights), device='cpu')
    assert model.dataset_meta['keypoint_id2name'] == {0: 'pivot', 1: 'mass'}
    assert str(tmp_path / 'pendulum.py') not in cfg.pretty_text
    assert cfg.model.backbone.init_cfg is None
    facts = json.loads((folder / 'model.json').read_text())
    assert facts['datasets']['pendulum'] == dict(
        dataset='pendulum',
        keypoints=['pivot', 'mass'],
        skeleton=[[0, 1]],
        flip_indices=[0, 1],
        sigmas=pytest.approx([0.05, 0.1]),
    )
    assert facts['input']['size'] == [64, 96]
    assert facts['input']['channels'] == 'RGB'
    assert facts['input']['mean'] == pytest.approx([123.675, 116.28, 103.53])


@pytest.mark.parametrize('num', [11, 25])
def test_many_own_keypoints(make, tmp_path, num):
    """mmengine writes the keys of a config sorted as text: 0, 1, 10, 2."""
    names = [f'point_{k}' for k in range(num)]
    swaps = {2: 10, 10: 2}
    points = {
        k: dict(name=name, swap=names[swaps[k]] if k in swaps else '')
        for k, name in enumerate(names)
    }
    links = {
        k: dict(link=(names[k], names[k + 1]), color=[k, 0, 0])
        for k in range(num - 1)
    }
    info = dict(
        dataset_name='chain',
        keypoint_info=points,
        skeleton_info=links,
        joint_weights=[1.0] * num,
        sigmas=[0.01 * (k + 1) for k in range(num)],
    )
    file = tmp_path / 'chain.py'
    file.write_text(f'dataset_info = {info!r}')

    def edit(cfg):
        for loader in ('train', 'val', 'test'):
            dataset = cfg[f'{loader}_dataloader'].dataset
            dataset.metainfo = dict(from_file=str(file))
        cfg.model.head.out_channels = num

    _, folder = make(CONFIGS['vitpose'], edit=edit)
    cfg, weights = read_folder(folder)
    meta = init_model(cfg, str(weights), device='cpu').dataset_meta
    assert list(meta['keypoint_id2name'].items()) == list(enumerate(names))
    flip = list(range(num))
    flip[2], flip[10] = 10, 2
    assert meta['flip_indices'] == flip
    assert meta['skeleton_links'] == [(k, k + 1) for k in range(num - 1)]
    assert [color[0] for color in meta['skeleton_link_colors']] == [
        *range(num - 1)
    ]
    image = np.zeros((96, 64, 3), np.uint8)
    [found] = PoseInferencer(str(folder), detector='whole_image')(image)
    assert found.keypoints.shape == (1, num, 2)


def test_vitpose_plus_keeps_its_datasets(make):
    _, folder = make(PLUS)
    facts = json.loads((folder / 'model.json').read_text())
    names = ['coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody']
    assert list(facts['datasets']) == names
    counts = [len(d['keypoints']) for d in facts['datasets'].values()]
    assert counts == [17, 14, 16, 17, 17, 133]
    assert set(facts['codec']) == set(names)


def test_vitpose_plus_keeps_the_order_of_its_experts(make):
    model, folder = make(PLUS)
    names = list(model.head.heads)
    assert names != sorted(names)  # as safetensors has them
    for name in names:
        expected = split_state_dict(model.state_dict(), name)
        found = load_model(folder, device='cpu', dataset=name).state_dict()
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.equal(found[key], value), (name, key)


def test_fine_tuning_starts_from_the_weights(make, tmp_path):
    _, folder = make(CONFIGS['vitpose'])
    shutil.move(folder, tmp_path / 'moved')
    cfg = Config.fromfile(tmp_path / 'moved' / 'config.py')
    assert cfg.load_from == str(tmp_path / 'moved' / 'model.safetensors')
    assert 'work_dir' not in cfg
    odd = tmp_path / 'it\'s "my" posé'
    shutil.move(tmp_path / 'moved', odd)
    cfg, weights = read_folder(odd)
    assert cfg.load_from == str(weights)
    assert weights.parent == odd


def test_another_file_of_weights_is_refused(make):
    _, folder = make(CONFIGS['vitpose'])
    weights = folder / 'model.safetensors'
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match='not the file that was packed'):
        read_folder(folder)
    weights.unlink()
    with pytest.raises(ValueError, match=r'has no model\.safetensors'):
        read_folder(folder)
    (folder / 'model.json').write_text('{"format": 99}')
    with pytest.raises(ValueError, match='later format'):
        read_folder(folder)
    (folder / 'model.json').write_text('{"format": "x"}')
    with pytest.raises(ValueError, match='later format'):
        read_folder(folder)


@pytest.mark.parametrize(
    'text, words',
    [('model = dict(', 'cannot be read as a config'), ('', 'has no model')],
)
def test_a_torn_config_is_named(make, text, words):
    _, folder = make(CONFIGS['vitpose'])
    (folder / 'config.py').write_text(text)
    with pytest.raises(ValueError, match=rf'config\.py {words}.*again'):
        read_folder(folder)


def test_weights_of_another_model_leave_nothing_behind(make, tmp_path):
    make(CONFIGS['vitpose'])
    make(CONFIGS['gtpt'], 'other')
    with pytest.raises(ValueError, match='does not hold the weights'):
        pack(
            tmp_path / 'my_pose_config.py',
            tmp_path / 'other.pth',
            tmp_path / 'new',
        )
    assert not (tmp_path / 'new').exists()


def test_command(make, tmp_path, capsys):
    _, folder = make(CONFIGS['vitpose'])
    words = [
        'pack',
        str(tmp_path / 'my_pose_config.py'),
        str(tmp_path / 'my_pose.pth'),
    ]
    assert main([*words, str(folder)]) == 2
    assert 'holds a packed model' in capsys.readouterr().err
    assert main([*words, str(folder), '--overwrite']) == 0
    assert 'coco: 17 keypoints' in capsys.readouterr().out
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.tex').write_text('')
    assert main([*words, str(tmp_path / 'full'), '--overwrite']) == 2
    assert 'holds other files' in capsys.readouterr().err
    assert os.listdir(tmp_path / 'full') == ['thesis.tex']


def test_command_takes_names(tmp_path, capsys):
    name = Path(CONFIGS['gtpt']).stem
    file, folder = tmp_path / 'a.pth', tmp_path / 'folder'
    write_checkpoint(read_config(CONFIGS['gtpt']), file)
    assert main(['pack', name, str(file), str(folder)]) == 0
    assert (folder / 'model.safetensors').is_file()
    assert main(['pack', f'{name}z', str(file), str(folder)]) == 2
    assert f'near to it: {name}' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['.', 'new/../other'])
def test_folders_without_a_name_of_their_own(
    make, tmp_path, monkeypatch, name
):
    make(CONFIGS['vitpose'])
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    pack(tmp_path / 'my_pose_config.py', tmp_path / 'my_pose.pth', name)
    assert sorted(os.listdir(name)) == [
        'README.md',
        'config.py',
        'model.json',
        'model.safetensors',
    ]


def test_names_of_folders(tmp_path):
    (tmp_path / 'model.json').write_text('{}')
    assert is_folder(tmp_path)
    assert is_folder('hf://me/pose')
    assert not is_folder('vitpose-b')
    assert not is_folder(Config())
    with pytest.raises(ValueError, match='hf://USER/NAME'):
        find_folder('hf://pose')

"""Names of ours and models of several datasets in mmpose's functions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import hub
from mmengine.config import Config
from mmpose.apis import MMPoseInferencer, inference_topdown, init_model
from mmpose.registry import MODELS

import gtpt_mm
from gtpt_mm.apis import model_names
from gtpt_mm.compat.inference import model_names as shim
from gtpt_mm.config_folder import find_configs
from gtpt_mm.convert import split_model

SAMPLE = 'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64'
IMAGE = np.random.default_rng(0).integers(0, 256, (120, 80, 3), np.uint8)
NUM_KEYPOINTS = dict(coco=17, aic=14, wholebody=133)


@pytest.fixture(scope='module')
def plus_weights(tmp_path_factory):
    """Files of a small ViTPose++, as of ``convert`` and of a training."""
    torch.manual_seed(0)
    model = MODELS.build(gtpt_mm.get_config(SAMPLE).model)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    folder = tmp_path_factory.mktemp('plus')
    metainfos = {
        name: gtpt_mm.load_model(
            SAMPLE, 'random', 'cpu', dataset=name
        ).dataset_meta
        for name in NUM_KEYPOINTS
    }
    trained = {**metainfos['coco'], 'datasets': metainfos}
    for name, meta in (
        ('converted', dict(converted_from='x.pth')),
        ('trained', dict(dataset_meta=trained)),
    ):
        content = dict(state_dict=model.state_dict(), meta=meta)
        torch.save(content, folder / f'{name}.pth')
    return folder


def read(name):
    return str(gtpt_mm.get_config(name).filename)


def predict(inferencer):
    [[person]] = next(inferencer(IMAGE))['predictions']
    return np.array(person['keypoints'])


def infer(*args, **options):
    return MMPoseInferencer(
        *args, device='cpu', det_model='whole_image', **options
    )


@pytest.mark.parametrize('file', ['converted', 'trained'])
@pytest.mark.parametrize('dataset', [None, 'aic', 'wholebody'])
def test_plus_predicts_in_all_ways_alike(file, dataset, plus_weights):
    weights = str(plus_weights / f'{file}.pth')
    cfg = Config.fromfile(read(SAMPLE))
    if dataset:
        cfg.model.test_cfg.dataset = dataset
    model = init_model(cfg, weights, device='cpu')
    [sample] = inference_topdown(model, IMAGE)
    expected = sample.pred_instances.keypoints[0]
    assert len(expected) == NUM_KEYPOINTS[dataset or 'coco']
    assert model.dataset_meta['num_keypoints'] == len(expected)
    for own in (
        predict(infer(read(SAMPLE), weights, dataset=dataset)),
        predict(infer(SAMPLE, weights, dataset=dataset)),
        predict(infer(pose2d=SAMPLE, pose2d_weights=weights, dataset=dataset)),
    ):
        np.testing.assert_allclose(own, expected, atol=1e-3)
    loaded = gtpt_mm.load_model(SAMPLE, weights, 'cpu', dataset=dataset)
    [sample] = inference_topdown(loaded, IMAGE)
    np.testing.assert_allclose(
        sample.pred_instances.keypoints[0], expected, atol=1e-3
    )


def test_split_model_predicts(plus_weights):
    model = init_model(
        read(SAMPLE), str(plus_weights / 'converted.pth'), device='cpu'
    )
    plain = split_model(model, model.cfg, 'aic')
    [sample] = inference_topdown(plain, IMAGE)
    assert sample.pred_instances.keypoints.shape == (1, 14, 2)


def test_training_still_requires_the_dataset(plus_weights):
    model = MODELS.build(gtpt_mm.get_config(SAMPLE).model)
    from mmpose.structures import PoseDataSample

    with pytest.raises(ValueError, match='no dataset_idx'):
        model.loss(torch.zeros(1, 3, 96, 64), [PoseDataSample()])


def test_unknown_dataset_is_an_error(plus_weights):
    weights = str(plus_weights / 'converted.pth')
    with pytest.raises(ValueError, match="no dataset 'horse'"):
        infer(SAMPLE, weights, dataset='horse')
    with pytest.raises(ValueError, match='for a model of several datasets'):
        infer('gtpt-t', 'random', dataset='aic')
    with pytest.raises(ValueError, match="'aic' is for a ViTPose"):
        infer('human', dataset='aic')


def test_inferencer_takes_names_and_fetches(tmp_path, monkeypatch):
    """Weights from a folder; the name of an mmpose model stays mmpose's."""
    with pytest.raises(ValueError, match='github.com/haonanwang0522/GTPT'):
        infer('gtpt-t')
    torch.manual_seed(0)
    model = gtpt_mm.load_model('gtpt-t', 'random', 'cpu')
    torch.save(model.state_dict(), tmp_path / 'gtpt-t.pth')
    monkeypatch.setenv('GTPT_MM_WEIGHTS', str(tmp_path))
    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path / 'cache'))
    for name in ('gtpt-t', 'gtpt_mm/GTPT-T'):
        own = predict(infer(name))
        [sample] = inference_topdown(model, IMAGE)
        np.testing.assert_allclose(
            own, sample.pred_instances.keypoints[0], atol=1e-3
        )


@pytest.mark.parametrize(
    ('name', 'is_ours'),
    [
        ('vitpose', False),
        ('vitpose-b', False),
        ('ViTPose-H', False),
        ('rtmpose-m', False),
        ('gtpt_mm/vitpose-b', True),
        ('gtpt_mm/nothing', True),
        ('vitpose-b-simple', True),
        ('hevitpose-s', True),
        (None, False),
    ],
)
def test_names_of_mmpose_stay_its_own(name, is_ours):
    assert shim.is_ours(name, lambda: model_names) == is_ours


def test_init_model_takes_names():
    model = init_model('hevitpose-t', device='cpu')
    assert Path(model.cfg.filename).stem.startswith('td-hm_hevitpose-t_')
    with pytest.raises(ValueError, match='near to it: .*hevitpose-t'):
        init_model('gtpt_mm/hevitpos-t', device='cpu')


def test_configs_can_be_bases_by_package(tmp_path):
    config = 'body_2d_keypoint/gtpt/coco/gtpt-t_4xb64-300e_coco-256x192.py'
    (tmp_path / 'mine.py').write_text(f"_base_ = 'gtpt_mm::{config}'\n")
    cfg = Config.fromfile(tmp_path / 'mine.py')
    expected = Config.fromfile(find_configs() / config)
    assert cfg.model == expected.model
    assert hub.get_config(f'gtpt_mm::{config}').model == expected.model
    with pytest.raises(FileNotFoundError, match='none.py'):
        hub.get_config('gtpt_mm::body_2d_keypoint/none.py')


def test_skeleton_of_a_config_without_training_set():
    """Stock takes that of COCO."""
    cfg = gtpt_mm.get_config('hevitpose-t-mpii')
    cfg.train_dataloader = None
    model = init_model(cfg, device='cpu')
    assert model.dataset_meta['dataset_name'] == 'mpii'

"""ViTPose++ through a Runner: six small datasets in one training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.apis import MMPoseInferencer, inference_topdown, init_model
from mmpose.registry import DATASETS, MODELS

from gtpt_mm.cli import main
from gtpt_mm.engine.hooks.freeze import freeze

NAMES = ['coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody']
KEYPOINTS = [17, 14, 16, 17, 17, 133]


@pytest.fixture(scope='module', autouse=True)
def _plain_text():
    """Write configs without layout: for this large one it takes seconds.

    Keys are in alphabetical order, as in what mmengine writes.
    """

    def write(cfg: Config) -> str:
        items = sorted(order(cfg.to_dict()).items())
        return '\n'.join(f'{key} = {value!r}' for key, value in items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, 'pretty_text', property(write))
        yield


def order(value):
    """Bring the keys of nested dicts into alphabetical order."""
    if isinstance(value, dict):
        return {key: order(value[key]) for key in sorted(value, key=str)}
    return [order(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope='module')
def cfg(six_datasets_cfg, tmp_path_factory):
    """The sample config with little data, two epochs."""
    cfg = six_datasets_cfg()
    init_default_scope('mmpose')
    cfg.visualizer.name = 'six'
    cfg.work_dir = str(tmp_path_factory.mktemp('vitpose-plus'))
    return cfg


def test_drawn_data_run_with_the_real_config(
    six_datasets, repo_root, move_data
):
    """Each lies where the config of the six real datasets looks for it."""
    folder = repo_root / 'configs/multi_dataset/vitpose_plus/six_datasets'
    [path] = folder.glob('td-hm_vitpose-plus-s_*.py')
    cfg = Config.fromfile(path).to_dict()
    for name in ('coco', 'aic', 'mpii', 'ap10k', 'apt36k'):
        cfg = move_data(cfg, f'data/{name}/', f'{six_datasets}/{name}/')
    init_default_scope('mmpose')
    for loader in ('train_dataloader', 'val_dataloader'):
        dataset = DATASETS.build(cfg[loader]['dataset'])
        for first in np.cumsum([0, *dataset.lens[:-1]]):
            assert dataset[int(first)]['inputs'].shape == (3, 256, 192)


@pytest.fixture(scope='module')
def runner(cfg):
    torch.manual_seed(0)
    runner = Runner.from_cfg(cfg)
    runner.start = {
        name: value.clone() for name, value in runner.model.named_parameters()
    }
    runner.train()
    return runner


def test_every_sample_knows_its_dataset(runner):
    """In training and in test, with targets of its own number of keypoints."""
    for loader in (runner.train_dataloader, runner.val_dataloader):
        dataset = loader.dataset
        idx = [
            dataset[i]['data_samples'].dataset_idx for i in range(len(dataset))
        ]
        assert idx == sorted(idx)
        assert [idx.count(k) for k in range(6)] == dataset.lens
        assert min(dataset.lens) >= 1
    for place, first in enumerate(np.cumsum([0, *dataset.lens[:-1]])):
        sample = dataset[int(first)]['data_samples']
        assert len(sample.flip_indices) == KEYPOINTS[place]
    train = runner.train_dataloader.dataset
    for place, first in enumerate(np.cumsum([0, *train.lens[:-1]])):
        sample = train[int(first)]['data_samples']
        assert sample.gt_fields.heatmaps.shape == (KEYPOINTS[place], 24, 16)


def test_every_parameter_is_trained(runner):
    for name, value in runner.model.named_parameters():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value, runner.start[name]), name


def test_each_dataset_has_a_loss_and_a_metric(runner):
    history = runner.message_hub.log_scalars
    for name in NAMES:
        losses, _ = history[f'train/{name}/loss_kpt'].data
        assert np.isfinite(losses).all()
        metric = 'PCK' if name == 'mpii' else 'AP'
        assert 0 <= history[f'val/{name}/{metric}'].current() <= 100


def test_table_of_all_datasets_is_logged(runner):
    [log] = Path(runner.work_dir).glob('*/*.log')
    lines = log.read_text().splitlines()
    [head] = [
        i for i, li in enumerate(lines) if li.split()[:2] == ['dataset', 'AP']
    ]
    assert [line.split()[0] for line in lines[head + 1 : head + 7]] == NAMES


def test_checkpoint_gives_the_same_metrics(runner):
    for parameter in runner.model.parameters():
        parameter.data.zero_()
    runner.load_checkpoint(str(Path(runner.work_dir) / 'epoch_2.pth'))
    metrics = runner.test()
    for name in NAMES:
        metric = f'{name}/' + ('PCK' if name == 'mpii' else 'AP')
        trained = runner.message_hub.log_scalars[f'val/{metric}'].current()
        assert metrics[metric] == pytest.approx(trained, abs=1e-6)


@pytest.fixture(scope='module')
def split(runner, tmp_path_factory):
    """Plain models of three datasets, from the files that the run wrote."""
    [config] = Path(runner.work_dir).glob('*/vis_data/config.py')
    checkpoint = Path(runner.work_dir) / 'epoch_2.pth'
    out = tmp_path_factory.mktemp('split')
    command = ['split', str(config), str(checkpoint), str(out)]
    assert main([*command, '--dataset', 'mpii', 'ap10k', 'wholebody']) == 0
    assert main([*command, '--dataset', 'mpii']) == 2  # not overwritten
    assert main([*command, '--dataset', 'dogs']) == 2
    return out


@pytest.mark.parametrize('name', ['mpii', 'ap10k', 'wholebody'])
def test_split_model_predicts_the_same(name, runner, split):
    dense = init_model(
        str(split / f'{name}.py'), str(split / f'{name}.pth'), device='cpu'
    )
    assert type(dense).__name__ == 'TopdownPoseEstimator'
    assert dense.backbone.num_experts == 0
    assert dense.dataset_meta['num_keypoints'] == KEYPOINTS[NAMES.index(name)]
    assert dense.cfg.test_evaluator.prefix == name
    both = runner.val_dataloader.dataset
    single = DATASETS.build(dense.cfg.test_dataloader.dataset)
    first = sum(both.lens[: NAMES.index(name)])
    for i in range(len(single)):
        [expected] = runner.model.test_step(pseudo_collate([both[first + i]]))
        [result] = dense.test_step(pseudo_collate([single[i]]))
        np.testing.assert_allclose(
            result.pred_instances.keypoints,
            expected.pred_instances.keypoints,
            atol=1e-3,
        )


def test_model_of_a_training_predicts_without_a_split(
    runner, split, six_datasets
):
    """By its checkpoint and the config in its ``work_dir``."""
    [config] = Path(runner.work_dir).glob('*/vis_data/config.py')
    checkpoint = str(Path(runner.work_dir) / 'epoch_2.pth')
    image = str(next((six_datasets / 'mpii/images').iterdir()))
    for name in ('ap10k', 'mpii'):
        plain = init_model(
            str(split / f'{name}.py'), str(split / f'{name}.pth'), device='cpu'
        )
        [expected] = inference_topdown(plain, image)
        inferencer = MMPoseInferencer(
            pose2d=str(config),
            pose2d_weights=checkpoint,
            det_model='whole_image',
            device='cpu',
            dataset=name,
        )
        [[person]] = next(inferencer(image))['predictions']
        model = init_model(
            str(config),
            checkpoint,
            device='cpu',
            cfg_options={'model.test_cfg.dataset': name},
        )
        [sample] = inference_topdown(model, image)
        for own in (person['keypoints'], sample.pred_instances.keypoints[0]):
            np.testing.assert_allclose(
                own, expected.pred_instances.keypoints[0], atol=1e-3
            )


def test_samples_are_drawn_with_their_own_skeleton(cfg, runner, tmp_path):
    """As ``mim test --show-dir``: 17, 14, 16 and 133 keypoints in turn."""
    cfg = cfg.copy()
    cfg.default_hooks.visualization.update(
        enable=True, out_dir=str(tmp_path / 'drawn')
    )
    cfg.load_from = str(Path(runner.work_dir) / 'epoch_2.pth')
    cfg.work_dir = str(tmp_path)
    cfg.visualizer.name = 'drawn'
    tester = Runner.from_cfg(cfg)
    skeletons = []
    draw = type(tester.visualizer)._draw_instances_kpts

    def record(self, image, instances, *args):
        skeletons.append((instances.keypoints.shape[1], self.skeleton))
        return draw(self, image, instances, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tester.visualizer), '_draw_instances_kpts', record)
        tester.test()
    dataset = tester.test_dataloader.dataset
    metas = dataset.metainfo['datasets']
    expected = [
        (KEYPOINTS[NAMES.index(name)], metas[name]['skeleton_links'])
        for name, length in zip(dataset.names, dataset.lens, strict=True)
        for _ in range(length)
    ]
    assert skeletons == expected
    assert len(list((tmp_path / 'drawn').iterdir())) == len(expected)


def test_inferencer_takes_a_split_model(split, six_datasets):
    inferencer = MMPoseInferencer(
        pose2d=str(split / 'mpii.py'),
        pose2d_weights=str(split / 'mpii.pth'),
        det_model='whole_image',
        device='cpu',
    )
    image = next((six_datasets / 'mpii/images').iterdir())
    [[person]] = next(inferencer(str(image)))['predictions']
    model = init_model(
        str(split / 'mpii.py'), str(split / 'mpii.pth'), device='cpu'
    )
    [expected] = inference_topdown(model, str(image))
    np.testing.assert_allclose(
        person['keypoints'], expected.pred_instances.keypoints[0], atol=1e-3
    )


def test_a_dataset_is_added(runner, tmp_path, repo_root):
    source = Path(runner.work_dir) / 'epoch_2.pth'
    target = tmp_path / 'seven.pth'
    command = ['add-dataset', str(source), str(target)]
    assert main([*command, '--name', 'aic', '--like', 'coco']) == 2
    assert main([*command, '--name', 'crowdpose', '--like', 'aic']) == 0
    name = 'td-hm_vitpose-plus-t_1xb32-6e_sample-add-crowdpose-96x64.py'
    folder = repo_root / 'configs/multi_dataset/vitpose_plus/sample'
    model = MODELS.build(Config.fromfile(folder / name).model).eval()
    state = torch.load(target, weights_only=True)['state_dict']
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert unexpected == []
    assert missing == [
        f'head.heads.crowdpose.final_layer.{leaf}'
        for leaf in ('weight', 'bias')
    ]
    [hook] = Config.fromfile(folder / name).custom_hooks
    assert hook.pop('type') == 'FreezeHook'
    freeze(model, **hook)
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained
    for path in trained:
        assert '.experts.6.' in path or '.crowdpose.' in path
    img = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        counts = (0, 1, 0, 0, 1, 0)  # of aic and apt36k
        old = runner.model.eval().extract_feat(img, counts)[0]
        same = model.extract_feat(img, (*counts, 0))[0]
        torch.testing.assert_close(same, old)
        new = model.extract_feat(img[:1], (0, 0, 0, 0, 0, 0, 1))[0]
    torch.testing.assert_close(new, old[:1], atol=1e-5, rtol=1e-5)

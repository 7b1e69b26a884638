"""HEViTPose-T through stock mmpose, in the layouts of MPII and COCO."""

import numpy as np
import pytest
from mmengine.config import Config
from support.runs import (
    logged,
    make_inferencer,
    make_runner,
    mim,
    read_metrics,
    read_scalars,
)

CONFIGS = {
    'mpii': 'td-hm_hevitpose-t_1xb16-6e_sample-mpii-128x128.py',
    'coco': 'td-hm_hevitpose-t_1xb16-6e_sample-coco-128x96.py',
}
METRICS = {'mpii': 'PCK', 'coco': 'coco/AP'}
NUM_KEYPOINTS = {'mpii': 16, 'coco': 17}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    from pose_samples import generate

    root = tmp_path_factory.mktemp('sample')
    generate(
        root,
        layouts=['coco', 'mpii'],
        num_train=16,
        num_val=4,
        seed=3,
        max_people=1,
    )
    return root


@pytest.fixture(scope='module', params=['mpii', 'coco'])
def layout(request):
    return request.param


@pytest.fixture(scope='module')
def config(layout, data, tmp_path_factory, repo_root):
    """The sample config of the layout, on a few images."""
    [path] = (repo_root / 'configs/body_2d_keypoint').rglob(CONFIGS[layout])
    cfg = Config.fromfile(path)
    assert cfg.model.backbone.type == 'HEViTPose'
    old, new = cfg.data_root, f'{data / layout}/'
    cfg = Config.fromstring(
        cfg.pretty_text.replace(old, new), file_format='.py'
    )
    assert old not in cfg.pretty_text
    cfg.train_dataloader.batch_size = 4
    for loader in (
        cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader,
    ):  # fmt: skip
        loader.num_workers = 0
        loader.persistent_workers = False
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger.interval = 1
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    cfg.dump(path)
    return path


@pytest.fixture(
    scope='module',
    params=['here', pytest.param('mim', marks=pytest.mark.slow)],
)
def trained(request, config, tmp_path_factory):
    """The work folder of a training in this process, or of ``mim train``."""
    work_dir = tmp_path_factory.mktemp(request.param)
    if request.param == 'mim':
        mim('train', config, work_dir)
    else:
        make_runner(config, work_dir).train()
    return work_dir


def test_losses_and_metrics_are_logged(trained, layout):
    rows = read_scalars(trained)
    losses = logged(rows, 'loss_kpt')
    assert len(losses) >= 3
    assert all(np.isfinite(losses))
    assert len(logged(rows, METRICS[layout])) == 1


def test_checkpoint_has_the_metric_of_the_training(config, trained, layout):
    checkpoint = trained / 'epoch_1.pth'
    if trained.name.startswith('mim'):
        mim('test', config, trained / 'test', '--checkpoint', checkpoint)
        metrics = read_metrics(trained / 'test')
    else:
        options = dict(load_from=str(checkpoint))
        metrics = make_runner(config, trained / 'test', **options).test()
    [expected] = logged(read_scalars(trained), METRICS[layout])
    assert metrics[METRICS[layout]] == pytest.approx(expected, abs=1e-6)


def test_inferencer_finds_the_keypoints_of_the_layout(
    config, trained, data, layout, tmp_path
):
    images = sorted((data / layout).rglob('*.jpg'))[:2]
    inferencer = make_inferencer(
        config, trained / 'epoch_1.pth', det_model='whole_image'
    )
    results = inferencer([*map(str, images)], vis_out_dir=str(tmp_path))
    people = [result['predictions'][0][0] for result in results]
    assert len(people) == 2
    for person, image in zip(people, images, strict=True):
        keypoints = np.array(person['keypoints'])
        assert keypoints.shape == (NUM_KEYPOINTS[layout], 2)
        assert np.isfinite(keypoints).all()
        assert (tmp_path / image.name).is_file()

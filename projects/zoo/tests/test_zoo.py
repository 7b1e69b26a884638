"""The trial of stock configs: its pool, its data, its stages, its page."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from projects.zoo import run, table, trial
from projects.zoo.random_data import make_batch

from mmpose.utils import register_all_modules  # isort: skip

#: A worker that does by the name of a config what a bad config does.
WORKER = """
import json, os, sys, time
print(json.dumps(dict(ready=True)), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    print(json.dumps(dict(stage='build', result='ok', seconds=1,
                          process=os.getpid())), flush=True)
    if 'hangs' in task['name']:
        time.sleep(600)
    if 'dies' in task['name']:
        os._exit(7)
    for stage in task['stages']:
        print(json.dumps(dict(stage=stage, result='ok', seconds=1)),
              flush=True)
    print(json.dumps(dict(done=True, memory=int(task['name'][-1] == 'f')
                          * 2**40)), flush=True)
"""


@pytest.fixture
def pool(tmp_path):
    pool = run.Pool([sys.executable, '-c', WORKER], 8, tmp_path / 'log')
    yield pool
    pool.stop()


def results_of(records: list[dict]) -> dict:
    return {record['stage']: record['result'] for record in records}


def test_hang_and_crash_cost_the_worker_not_the_run(pool):
    first = pool.ask('a', ['predict', 'train'])
    assert results_of(first) == dict(build='ok', predict='ok', train='ok')
    again = pool.ask('b', ['predict'])
    assert again[0]['process'] == first[0]['process']

    hung = results_of(pool.ask('hangs', ['predict', 'train']))
    assert hung.pop('predict').startswith('hang: not finished within 8 ')
    assert hung == dict(build='ok')
    dead = results_of(pool.ask('dies', ['predict']))
    assert dead['predict'] == 'crash: the process ended with 7'

    after = pool.ask('c', ['predict'])
    assert results_of(after) == dict(build='ok', predict='ok')
    assert after[0]['process'] != first[0]['process']


def test_fat_worker_is_replaced(pool):
    first = pool.ask('f', [])
    assert pool.ask('g', [])[0]['process'] != first[0]['process']


def entry(network: str, **stages: str) -> dict:
    return dict(stages=dict(build='ok', **stages), seconds={}, network=network)


def test_goes_on_where_it_stopped_and_exports_each_network_once():
    names = ['a', 'b', 'c', 'd']
    results = dict(a=entry('x', predict='ok'), c=entry('y', predict='ok'))
    assert [name for name, _ in run.plan(results, names, False)] == ['b', 'd']
    # Nothing is exported before all are tried.
    assert [name for name, _ in run.plan(results, names, True)] == ['b', 'd']
    results |= dict(b=entry('y'), d=entry('y'))
    assert run.plan(results, names, False) == []
    assert run.plan(results, names, True) == [
        ('b', ['export']),  # of three configs
        ('a', ['export']),
    ]
    run.merge(
        results,
        'b',
        [dict(stage='export', result='ok', seconds=2, deviation=1e-6)],
    )
    run.copy_exports(results)
    assert results['d']['same_as'] == results['c']['same_as'] == 'b'
    assert results['d']['stages']['export'] == 'ok'
    assert run.plan(results, names, True) == [('a', ['export'])]


def test_other_networks_come_first():
    folder = 'configs/hand_2d_keypoint/topdown_heatmap'
    names = [
        f'{folder}/a/td-hm_res50_8xb64-210e_a-256x256.py',
        f'{folder}/b/td-hm_res50_8xb64-210e_b-256x256.py',
        f'{folder}/c/td-hm_vgg16-bn_8xb64-210e_c-256x256.py',
        f'{folder}/a/rtmo-s_8xb32-600e_a-640x640.py',
    ]
    first, again, other, large = names
    assert run.in_order(names) == [first, other, again, large]


@pytest.fixture
def stock_folder(monkeypatch):
    """Stock configs name other files below this folder."""
    monkeypatch.chdir(run.CONFIGS)
    register_all_modules()
    return Path('configs')


def test_every_config_is_listed(stock_folder):
    names = run.list_configs()
    assert len(names) == len(set(names)) == 408
    assert all(Path(name).is_file() for name in names)


@pytest.mark.parametrize(
    ('name', 'inputs', 'labels'),
    [
        (
            'body_2d_keypoint/simcc/coco/'
            'simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py',
            (3, 256, 192),
            dict(keypoint_x_labels=(1, 17, 384)),
        ),
        (
            'body_3d_keypoint/video_pose_lift/h36m/'
            'video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m.py',
            (34, 27),
            dict(lifting_target_label=(1, 17, 3)),
        ),
        (
            'body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py',
            (3, 640, 640),
            {},
        ),
    ],
)
def test_random_data_go_through_the_stock_pipeline(
    name, inputs, labels, stock_folder, tmp_path
):
    cfg = Config.fromfile(stock_folder / name)
    data = make_batch(cfg.train_dataloader.dataset, 2, tmp_path)
    assert [tuple(image.shape) for image in data['inputs']] == [inputs] * 2
    assert not torch.equal(*data['inputs'])
    for sample in data['data_samples']:
        for key, shape in labels.items():
            value = sample.gt_instance_labels[key]
            assert tuple(value.shape) == shape
            assert np.isfinite(value.numpy()).all()


def test_stages_of_a_config(stock_folder, monkeypatch):
    """A prediction and a step that changes the weights; errors are kept."""
    name = (
        'configs/body_2d_keypoint/simcc/coco/'
        'simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py'
    )
    records = []
    trial.run(name, ('predict', 'train'), records.append)
    assert results_of(records) == dict(build='ok', predict='ok', train='ok')
    assert records[-1]['instances'] == 1
    assert records[-1]['loss'] > 0

    def still(self, wrapper, number):
        return dict(loss=torch.tensor(1.0))

    monkeypatch.setattr(trial.Trial, 'train_step', still)
    records.clear()
    trial.run(name, ('train',), records.append)
    assert records[-1]['result'] == ('ValueError: the step changed no weight')


def test_exported_outputs_are_not_nearly_zero(stock_folder):
    """Else each file would agree; a new model of 50 layers gives 1e-11."""
    model = trial.Trial(
        'configs/body_2d_keypoint/simcc/coco/'
        'simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py'
    )
    model.build()
    trial.settle_norms(model.model, None)
    assert not model.model.training
    with torch.no_grad():
        images = torch.randn(1, 3, 256, 192)
        output, _ = model.model(images, None, mode='tensor')
    assert output.abs().max() > 1e-3


def test_what_cannot_be_read_is_reported(stock_folder):
    name = (
        'configs/body_2d_keypoint/edpose/coco/'
        'edpose_res50_8xb2-50e_coco-800x1333.py'
    )
    records = []
    trial.run(name, ('predict',), records.append)
    assert [record['stage'] for record in records] == ['build']
    assert 'default_runtime.py not found' in records[0]['result']
    assert '/site-packages/' not in records[0]['result']
    assert 'never' in table.reason_of(records[0]['result'])


def test_page_is_written_between_its_markers(tmp_path):
    results = {
        'configs/body/simcc/coco/a.py': entry(
            'x', predict='ok', train='ok', export='ok'
        )
        | dict(deviation=3e-6),
        'configs/body/simcc/coco/b.py': entry(
            'x', predict='ok', train='KeyError: `no|body`', export='ok'
        )
        | dict(same_as='configs/body/simcc/coco/a.py'),
        'configs/body/edpose/coco/c.py': dict(
            stages=dict(build='default_runtime.py not found'), seconds={}
        ),
        'configs/body/simcc/coco/untried.py': dict(stages={}),
    }
    page = tmp_path / 'zoo.md'
    page.write_text(f'top\n{table.BEGIN}\nold\n{table.END}\nbottom\n')
    table.write_page(results, page)
    text = page.read_text()
    assert text.startswith('top\n') and text.endswith('\nbottom\n')
    assert 'old' not in text
    assert 'Of 4 configs 3 were tried: 2 build, 2 predict, 1 train' in text
    assert '1 networks were exported' in text and '3e-06' in text
    assert '| body | simcc | 3 | 2 | 2 | 2 | 1 | 2 |' in text
    assert '| `b` | train | KeyError: `no\\|body` |' in text
    assert '| `c` | build | never: ' in text
    page.write_text('no markers')
    with pytest.raises(ValueError, match='zoo begin'):
        table.write_page(results, page)


def test_results_are_saved_whole(tmp_path):
    file = tmp_path / 'zoo.json'
    run.save(dict(b=entry('x'), a=entry('y')), file)
    assert list(json.loads(file.read_text())) == ['a', 'b']
    assert os.listdir(tmp_path) == ['zoo.json']

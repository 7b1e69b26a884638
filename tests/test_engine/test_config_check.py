"""The check of a config: its report, where it runs, what it passes over."""

import re
import time
from pathlib import Path

import mmpose
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.apis import MMPoseInferencer, init_model
from mmpose.registry import MODELS
from support.configs import read_config

from gtpt_mm.compat.runs import runner_check
from gtpt_mm.engine.config_check import ConfigError, check, check_before_run
from gtpt_mm.models import GTPTHead

SAMPLE = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)
STOCK = Path(mmpose.__file__).parent / '.mim/configs'


def faulty(**changes):
    cfg = read_config(SAMPLE)
    cfg.merge_from_dict(
        {key.replace('__', '.'): changes[key] for key in changes}
    )
    return cfg


def places(cfg, **options):
    return [finding.place for finding in check(cfg, **options)]


def test_all_findings_are_told_at_once_with_value_place_and_remedy():
    cfg = faulty(
        load_form='a.pth',
        modle__backbone__arch='base',
        model__test_cfg__fliptest=True,
        model__head__decoder__input_size=(48, 64),
        train_cfg__max_epochs=0,
    )
    with pytest.raises(ConfigError) as error:
        check_before_run(cfg)
    text = str(error.value)
    assert 'load_form: nothing reads' in text and "'load_from'" in text
    assert "did you mean 'model'?" in text
    assert 'model.test_cfg.fliptest=True' in text and "'flip_test'" in text
    assert 'model.head.decoder.input_size=(48, 64)' in text
    assert (
        'pipeline.5.encoder.input_size makes the input (w, h) = (64, 96)'
        in text
    )
    assert 'train_cfg.max_epochs=0: it must be at least 1' in text
    assert 'config_check=False' in text
    assert re.search(r'5 errors, 0 warnings', text)


def test_runner_refuses_before_anything_is_built(tmp_path):
    cfg = faulty(train_cfg__max_epochs=0, work_dir=str(tmp_path / 'run'))
    with pytest.raises(ConfigError, match='max_epochs=0'):
        Runner.from_cfg(cfg)
    assert not (tmp_path / 'run').exists()


def test_inferencer_and_init_model_refuse(tmp_path):
    cfg = faulty(model__head__decoder__input_size=(128, 192))
    path = tmp_path / 'wrong.py'
    cfg.dump(path)
    for load in (
        lambda: init_model(str(path), device='cpu'),
        lambda: init_model(cfg, device='cpu'),
        lambda: MMPoseInferencer(pose2d=str(path), device='cpu'),
        lambda: init_model(
            read_config(SAMPLE),
            device='cpu',
            cfg_options={'model.test_cfg.fliptest': True},
        ),
    ):
        with pytest.raises(ConfigError, match='model'):
            load()


def test_a_model_alone_needs_no_training_that_could_run():
    """An inferencer takes the config of a run that was wrong elsewhere."""
    cfg = faulty(train_cfg__max_epochs=0)
    assert places(cfg) == ['train_cfg.max_epochs']
    assert places(cfg, is_run=False) == []
    model = init_model(cfg, device='cpu')
    assert isinstance(model, torch.nn.Module)


def test_config_check_false_turns_it_off():
    cfg = faulty(load_form='a.pth', config_check=False)
    check_before_run(cfg)
    assert places(cfg) == ['load_form']


def test_a_misspelt_switch_is_a_finding():
    assert places(faulty(config_chek=False)) == ['config_chek']


def test_warnings_are_printed_and_the_run_goes_on(capsys, monkeypatch):
    cfg = faulty(
        param_scheduler=[dict(type='CosineAnnealingLR', end=5, by_epoch=True)]
    )
    check_before_run(cfg)
    assert 'param_scheduler.0.end=5: the run has 14' in capsys.readouterr().err
    monkeypatch.setenv('RANK', '1')
    check_before_run(cfg)
    assert capsys.readouterr().err == ''


class OwnTokens(torch.nn.Module):
    """A backbone of a user, which makes tokens as GTPT does."""

    def __init__(self, embed_dims=128):
        super().__init__()


class OwnHead(GTPTHead):
    """A head of a user, for the tokens of GTPT."""


def test_backbones_and_heads_of_a_user_may_go_with_ours(monkeypatch):
    for kind in (OwnTokens, OwnHead):
        monkeypatch.setitem(MODELS.module_dict, kind.__name__, kind)
    own = dict(type='OwnTokens', _delete_=True)
    assert places(faulty(model__backbone=own)) == []
    assert places(faulty(model__backbone=dict(own, type=OwnTokens))) == []
    assert places(faulty(model__head__type='OwnHead')) == []
    stock = dict(own, type='ResNet', depth=18)
    assert 'model.head.type' in places(faulty(model__backbone=stock))
    # A codec without what the head reads is still a mistake.
    cfg = faulty(model__backbone=own, model__head__decoder__type='MSRAHeatmap')
    assert 'model.head.decoder.type' in places(cfg)


@pytest.mark.parametrize('scope', ['mmdet', 'mmengine', 'mine', None])
def test_scopes_of_other_packages_are_legal(scope):
    assert check(dict(default_scope=scope, custom=1), is_run=False) == (
        check(dict(custom=1), is_run=False) if scope is None else []
    )


@pytest.mark.parametrize('name', ['val_evaluator', 'test_evaluator'])
@pytest.mark.parametrize('in_list', [False, True])
def test_threshold_of_densities_is_warned_of(name, in_list):
    """0.01 was right for scores of GTPT that peaked at 0.0997."""
    cfg = read_config(SAMPLE)
    assert not check(cfg)
    cfg[name].keypoint_score_thr = 0.01
    if in_list:
        cfg[name] = [cfg[name]]
    [finding] = check(cfg)
    place = f'{name}.0' if in_list else name
    assert finding.place == f'{place}.keypoint_score_thr'
    assert finding.severity == 'warning'
    assert 'set 0.1003' in finding.remedy
    assert not check(cfg, is_run=False)
    cfg.model.head.decoder.type = 'SimCCLabel'  # its scores have no unit
    assert finding.place not in places(cfg)


def test_checks_are_called_in_their_order(monkeypatch):
    calls = []
    monkeypatch.setattr(
        runner_check,
        'before_runner',
        [lambda c, run: calls.append(run), lambda c, run: 1 / 0],
    )
    with pytest.raises(ZeroDivisionError):
        Runner.from_cfg(read_config(SAMPLE))
    assert calls == [True]


@pytest.mark.parametrize(
    'value', [None, 5, 'text', [], [None], {'type': None}, {'type': print}, {}]
)
def test_it_never_fails_itself(value):
    """Any section may be anything; the check tells or is silent."""
    for key in read_config(SAMPLE):
        cfg = read_config(SAMPLE).to_dict()
        cfg[key] = value
        check(cfg)
    check({})


def test_rule_that_fails_hides_no_other(monkeypatch):
    from gtpt_mm.engine.config_check import rules

    def broken(view):
        raise RuntimeError
        yield

    monkeypatch.setattr(rules, 'KEY_RULES', (broken, *rules.KEY_RULES))
    assert places(faulty(load_form='a.pth')) == ['load_form']


def test_config_of_another_package_is_judged_by_its_top_level_only():
    cfg = dict(default_scope='mmdet', modle={}, model=dict(type='RTMDet'))
    assert places(cfg) == ['modle']


@pytest.mark.parametrize(
    'scope, remedy',
    [('mmocr', 'pip install mmocr'), ('mmcls', 'write mmpretrain')],
)
def test_package_that_is_missing_is_named(scope, remedy):
    """Nothing inside such a part can be checked."""
    kind = f'{scope}.VisionTransformer'
    neck = dict(type=kind, what=1)
    [finding] = check(faulty(model__neck=neck))
    assert (finding.place, finding.value) == ('model.neck.type', kind)
    assert f'{scope} is not installed' in finding.message
    assert finding.remedy == remedy


def test_scope_that_a_registry_has_is_not_missing():
    """A user may have one of such a name."""
    from mmengine.registry import MODELS as ROOT
    from mmengine.registry import Registry

    Registry('model', parent=ROOT, scope='mmrotate')
    try:
        cfg = faulty(model__neck=dict(type='mmrotate.Neck'))
        assert 'model.neck.type' not in places(cfg)
    finally:
        del ROOT.children['mmrotate']


def test_save_best_auto_needs_a_rule_that_can_be_inferred(monkeypatch):
    """Whichever class saves: a key without a rule is told before the run."""
    from mmpose.registry import HOOKS

    from gtpt_mm.compat.files.checkpoint_hook import StockCheckpointHook

    monkeypatch.setitem(
        HOOKS.module_dict, 'CheckpointHook', StockCheckpointHook
    )
    for key in ('auto', 'coco/AP'):
        cfg = faulty(default_hooks__checkpoint__save_best=key)
        assert places(cfg) == ['default_hooks.checkpoint.rule']
        cfg.default_hooks.checkpoint.rule = 'greater'
        assert places(cfg) == []


def test_stock_defects_are_found():
    """mmpose's cofw config ends its schedule before the last milestone."""
    path = (
        'face_2d_keypoint/topdown_heatmap/cofw/'
        'td-hm_hrnetv2-w18_8xb64-60e_cofw-256x256.py'
    )
    [finding] = check(Config.fromfile(STOCK / path))
    assert finding.place == 'param_scheduler.1.milestones'
    assert finding.severity == 'warning'


#: Classes, arguments and a package that are not there: these cannot run.
BROKEN_STOCK = ('HalpeHandDataset', 'extra_mapping_labels', 'mmcls')


def stock_errors(paths):
    """Return the errors that the check finds in mmpose's own configs."""
    return {
        path.name: errors
        for path in paths
        if (
            errors := [
                str(finding)
                for finding in check(Config.fromfile(path))
                if finding.severity == 'error'
                and not any(word in str(finding) for word in BROKEN_STOCK)
            ]
        )
    }


def stock_configs():
    paths = sorted(STOCK.rglob('*.py'))
    # A stock config of ED-Pose has a base that does not exist.
    return [
        path
        for path in paths
        if '_base_' not in path.parts and 'edpose' not in path.parts
    ]


def test_stock_configs_give_no_false_error():
    paths = stock_configs()
    assert len(paths) > 400
    assert stock_errors(paths[::7]) == {}


@pytest.mark.slow
def test_all_stock_configs_give_no_false_error():
    assert stock_errors(stock_configs()) == {}


def test_it_is_fast():
    cfg = read_config(
        'configs/multi_dataset/vitpose_plus/six_datasets/'
        'td-hm_vitpose-plus-b_8xb128-210e_six-datasets-256x192.py'
    )
    check(cfg)
    start = time.perf_counter()
    check(cfg)
    assert time.perf_counter() - start < 0.3

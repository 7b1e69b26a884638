"""One run in two stages: the switch, and exact resuming."""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from support.whole_body import (
    BODY,
    NEW,
    Instances,
    assert_same,
    find_hook,
    make_model,
    make_runner,
)

from gtpt_mm.engine import CosineEMAHook, CurriculumHook

STAGE_2 = [
    dict(type='LinearLR', start_factor=0.5, end=3, by_epoch=False),
    dict(type='MultiStepLR', milestones=[1], gamma=0.1),
]


def switch(**options) -> dict:
    return dict(type='CurriculumHook', **options)


class Probe:
    """Notes of every step: rate, length of the average, supervision."""

    def __init__(self, runner):
        self.notes = []
        model, ema = runner.model, find_hook(runner, CosineEMAHook)
        train_step = model.train_step

        def spy(data, optim_wrapper):
            self.notes.append(
                dict(
                    lr=optim_wrapper.get_lr()['lr'][0],
                    length=ema.ema_model.total_iters,
                    step=int(ema.ema_model.steps),
                    supervised=model.head.supervised,
                    moments=len(optim_wrapper.optimizer.state),
                    lag=distance(model, ema.ema_model.module),
                )
            )
            return train_step(data, optim_wrapper)

        model.train_step = spy

    def __getitem__(self, key):
        return [note[key] for note in self.notes]


def distance(a, b) -> float:
    return sum(
        float((x - y).detach().abs().sum())
        for x, y in zip(a.parameters(), b.parameters(), strict=True)
    )


ONE_RUN = switch(switch_epoch=2, param_scheduler=STAGE_2)


@pytest.fixture(scope='module')
def straight(tmp_path_factory):
    """Four epochs of three steps; all keypoints after the second."""
    work_dir = tmp_path_factory.mktemp('straight')
    runner = make_runner(work_dir, ONE_RUN)
    probe = Probe(runner)
    runner.train()
    return work_dir, probe


def test_supervision_rate_average_and_optimizer_switch(straight):
    _, probe = straight
    assert probe['supervised'] == [[0, 1, 2, 3, 4]] * 6 + [None] * 6
    # A warm-up of three steps from one half, a tenth in the last epoch.
    expected = [1e-3] * 3 + [1e-4] * 3 + [5e-4, 7.5e-4, 1e-3] + [1e-4] * 3
    assert probe['lr'] == pytest.approx(expected)
    assert probe['length'] == [6] * 12
    assert probe['step'] == [0, 1, 2, 3, 4, 5] * 2
    moments = probe['moments']
    assert moments[0] == moments[6] == 0
    assert min(moments[1:6] + moments[7:]) > 0
    # The model has taken the average, which starts from there.
    assert probe['lag'][6] == 0
    assert min(probe['lag'][1:6] + probe['lag'][7:]) > 0


def test_model_takes_the_average(straight, tmp_path):
    """At the switch, and it is the average that epoch 2 has saved."""
    work_dir, _ = straight
    saved = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    runner = make_runner(
        tmp_path,
        ONE_RUN,
        load_from=str(work_dir / 'epoch_2.pth'),
        resume=True,
    )
    seen = []
    train_step = runner.model.train_step

    def spy(data, optim_wrapper):
        if not seen:
            seen.append(
                {k: v.clone() for k, v in runner.model.state_dict().items()}
            )
        return train_step(data, optim_wrapper)

    runner.model.train_step = spy
    runner.train()
    assert_same(seen[0], dict(saved['state_dict']))


@pytest.mark.parametrize('last', [1, 2, 3])
def test_resume_goes_on_exactly(straight, tmp_path, last):
    """Before the switch, where it is due, and after it."""
    work_dir, _ = straight
    checkpoint = work_dir / f'epoch_{last}.pth'
    saved = torch.load(checkpoint, weights_only=True)
    assert saved['curriculum'] == dict(switched_at=2 if last == 3 else None)
    runner = make_runner(
        tmp_path, ONE_RUN, load_from=str(checkpoint), resume=True
    )
    runner.train()
    ours, theirs = (
        torch.load(folder / 'epoch_4.pth', weights_only=True)
        for folder in (tmp_path, work_dir)
    )
    for key in (
        'state_dict',
        'ema_state_dict',
        'optimizer',
        'param_schedulers',
        'curriculum',
    ):
        assert_same(ours[key], theirs[key], key)
    assert ours['meta']['iter'] == theirs['meta']['iter'] == 12


def test_each_stage_decides_whether_it_is_short(tmp_path):
    """Stages of 6 steps; the run of 12 would take a momentum of 0.25."""
    ema = dict(momentum=0.1, min_windows=3)
    runner = make_runner(tmp_path, ONE_RUN, ema=ema)
    runner.train()
    average = find_hook(runner, CosineEMAHook).ema_model
    assert average.total_iters == 6
    assert average.constant_momentum == 0.5
    log = max(tmp_path.glob('*/*.log')).read_text()
    assert log.count('constant momentum 0.5') == 1
    assert 'constant momentum 0.25' not in log
    resumed = make_runner(
        tmp_path / 'again',
        ONE_RUN,
        ema=ema,
        load_from=str(tmp_path / 'epoch_3.pth'),
        resume=True,
    )
    resumed.train()
    ours, theirs = (
        torch.load(folder / 'epoch_4.pth', weights_only=True)
        for folder in (tmp_path, tmp_path / 'again')
    )
    for key in ('state_dict', 'ema_state_dict', 'cosine_ema'):
        assert_same(ours[key], theirs[key], key)


@pytest.mark.parametrize('average', ['restart', 'keep'])
def test_average_may_restart_from_the_trained_weights_or_go_on(
    tmp_path, average
):
    hook = switch(switch_epoch=1, average=average, reset_optimizer=False)
    runner = make_runner(tmp_path, hook, epochs=2)
    probe = Probe(runner)
    runner.train()
    restarted = average == 'restart'
    assert probe['step'] == [0, 1, 2] + ([0, 1, 2] if restarted else [3, 4, 5])
    assert (probe['lag'][3] == 0) == restarted
    assert probe['length'] == ([3] if restarted else [6]) * 6
    assert min(probe['moments'][1:]) > 0
    # No schedule of the hook's own: the training's goes on.
    assert probe['lr'] == pytest.approx([1e-3] * 3 + [1e-4] * 3)
    # The model kept its trained weights.
    trained = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert trained['curriculum'] == dict(switched_at=None)


def test_rate_ratio_and_chosen_keypoints_without_an_average(tmp_path):
    hook = switch(
        switch_epoch=1,
        keypoints=[4, 1],
        param_scheduler=[],
        lr_ratio=0.3,
        average='keep',
    )
    runner = make_runner(tmp_path, hook, epochs=2, ema=False)
    notes = []
    train_step = runner.model.train_step

    def spy(data, optim_wrapper):
        rate = optim_wrapper.get_lr()['lr'][0]
        notes.append((runner.model.head.supervised, rate))
        return train_step(data, optim_wrapper)

    runner.model.train_step = spy
    runner.train()
    assert notes == [([4, 1], 1e-3)] * 3 + [(None, pytest.approx(3e-4))] * 3


def test_every_parameter_learns_from_the_body_alone():
    """Else DDP would wait for gradients that never come."""
    init_default_scope('mmpose')
    model = MODELS.build(make_model()).train()
    model.head.supervise(model.backbone.groups.sparse)
    instances = Instances(2)
    data = model.data_preprocessor(
        pseudo_collate([instances[0], instances[1]]), True
    )
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    for name in NEW:
        assert model.get_parameter(name).grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(switch_epoch=0), 'switch_epoch.*0'),
        (dict(switch_epoch=1, lr_ratio=0.1), 'lr_ratio=0.1'),
        (
            dict(switch_epoch=1, lr_ratio=-1, param_scheduler=[]),
            'lr_ratio=-1',
        ),
        (dict(switch_epoch=1, average='drop'), "'drop'"),
    ],
)
def test_contradicting_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        CurriculumHook(**options)


@pytest.mark.parametrize(
    ('hook', 'kwargs', 'words'),
    [
        (dict(switch_epoch=4), dict(), 'switch_epoch=4.* 4 epochs'),
        (dict(switch_epoch=2), dict(ema=False), "'keep'"),
        (
            dict(switch_epoch=2),
            dict(ema=dict(total_epochs=4)),
            'total_epochs=4',
        ),
        (dict(switch_epoch=2), dict(model=make_model(BODY)), 'no dense'),
        (dict(switch_epoch=2, keypoints=[8]), dict(), r'0..7.*\[8\]'),
    ],
)
def test_training_that_does_not_fit_is_named(tmp_path, hook, kwargs, words):
    runner = make_runner(tmp_path, switch(**hook), **kwargs)
    with pytest.raises(ValueError, match=words):
        runner.train()


@pytest.mark.parametrize(('last', 'epoch'), [(3, 3), (3, 1), (2, 1)])
def test_resume_with_another_switch_is_refused(
    straight, tmp_path, last, epoch
):
    work_dir, _ = straight
    runner = make_runner(
        tmp_path,
        ONE_RUN | dict(switch_epoch=epoch),
        load_from=str(work_dir / f'epoch_{last}.pth'),
        resume=True,
    )
    with pytest.raises(ValueError, match=f'switch_epoch={epoch}'):
        runner.train()

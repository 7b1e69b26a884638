"""Loops that are stopped anywhere go on there."""

import os
import signal
from types import SimpleNamespace

import mmengine.runner.runner as stock
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import loops
from support.same_run import assert_same_run
from support.toy_training import RandomData, loader, make_runner
from torch.utils.data import RandomSampler

STEPS = 18
BY_ITER = dict(
    train_cfg=dict(by_epoch=False, max_iters=STEPS, val_interval=6),
    default_hooks=dict(
        checkpoint=dict(
            type='CheckpointHook',
            by_epoch=False,
            interval=4,
            save_best='toy/score',
            rule='less',
        ),
        logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    ),
    log_processor=dict(by_epoch=False),
)
#: Trainings that differ in where the place in an epoch is kept.
KINDS = {
    'epochs': {},
    'iterations': BY_ITER,
    'endless': BY_ITER
    | dict(
        train_dataloader=loader(
            sampler=dict(type='InfiniteSampler', shuffle=True)
        )
    ),
    'middle': dict(default_hooks=BY_ITER['default_hooks']),
    'accumulation': dict(
        optim_wrapper=dict(
            type='OptimWrapper',
            accumulative_counts=4,
            optimizer=dict(type='Adam', lr=0.1),
        )
    ),
    'workers': dict(
        train_dataloader=loader(num_workers=1, persistent_workers=False)
    ),
}


class Kill(BaseException):
    """Ends a training as SIGKILL would, without the end of the process."""


class Killer(Hook):
    priority = 'LOWEST'

    def __init__(self, place: str, step: int) -> None:
        self.place, self.step = place, step

    def _at(self, runner, place: str) -> None:
        if place == self.place and runner.iter >= self.step:
            raise Kill

    def before_train_iter(self, runner, *_, **__) -> None:
        self._at(runner, 'load')

    def after_train_iter(self, runner, *_, **__) -> None:
        self._at(runner, 'step')

    def after_train_epoch(self, runner) -> None:
        self._at(runner, 'epoch')

    def after_val_iter(self, runner, *_, **__) -> None:
        self._at(runner, 'validation')


class Signaller(Killer):
    """Sends a signal instead."""

    def __init__(self, *args, number=signal.SIGTERM) -> None:
        super().__init__(*args)
        self.number = number
        self.sent = False

    def _at(self, runner, place: str) -> None:
        if place == self.place and runner.iter >= self.step and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.number)


@pytest.fixture(autouse=True, scope='module')
def _quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stock, 'collect_env', dict)  # half a second
        patch.setattr(loops, 'time', SimpleNamespace(sleep=lambda _: None))
        yield


@pytest.fixture(scope='module', params=KINDS)
def kind(request, tmp_path_factory):
    """Options of a training, and the folder of it undisturbed."""
    options = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    make_runner(folder, **options).train()
    return options, folder


def test_killed_and_resumed(kind, tmp_path):
    options, whole = kind
    moments = ('load', 2), ('validation', 5), ('step', 8), ('epoch', 10)
    moments += ('load', 12), ('step', 16), ('validation', 17)
    for number, moment in enumerate(moments):
        runner = make_runner(
            tmp_path, [Killer(*moment)], resume=number > 0, **options
        )
        if runner._train_loop.get('max_iters') and moment[0] == 'epoch':
            continue  # its only epoch ends with the training
        with pytest.raises(Kill):
            runner.train()
    make_runner(tmp_path, resume=True, **options).train()
    assert_same_run(tmp_path, whole)


def test_stopped_and_resumed(kind, tmp_path):
    options, whole = kind
    for place, step, number in (
        ('load', 3, signal.SIGTERM),
        ('validation', 6, signal.SIGUSR1),
        ('step', 12, signal.SIGTERM),
    ):
        runner = make_runner(
            tmp_path,
            [Signaller(place, step, number=number)],
            resume=step > 3,
            **options,
        )
        with pytest.raises(SystemExit) as end:
            runner.train()
        assert end.value.code == 128 + number
        named = (tmp_path / 'last_checkpoint').read_text()
        assert named == str(tmp_path / 'stopped.pth')
        if place != 'validation':  # nothing is done twice
            meta = torch.load(named, weights_only=False)['meta']
            assert meta['iter'] == step + 1 == runner.iter
    make_runner(tmp_path, resume=True, **options).train()
    assert_same_run(tmp_path, whole)


def test_handlers_are_put_back(tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)]
    make_runner(tmp_path).train()
    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)]
    assert before == after


def test_a_handler_of_somebody_else_stays(tmp_path):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        runner = make_runner(
            tmp_path, [Signaller('step', 3, number=signal.SIGUSR1)]
        )
        runner.train()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard and runner.iter == STEPS


def test_nothing_is_read_twice(tmp_path):
    with pytest.raises(SystemExit):
        make_runner(tmp_path, [Signaller('step', 8)]).train()
    runner = make_runner(tmp_path, resume=True)
    runner.train()
    # 9 of 18 batches of two were done.
    assert len(runner.train_dataloader.dataset.read) == 18


def test_sampler_that_goes_on_where_it_stood(tmp_path):
    """torch's sampler has no number for its epochs."""

    def options():
        dataset = RandomData()
        return dict(
            train_dataloader=loader(
                dataset=dataset, sampler=RandomSampler(dataset)
            )
        )

    make_runner(tmp_path / 'whole', **options()).train()
    for step in (3, 13):
        with pytest.raises(SystemExit):
            make_runner(
                tmp_path / 'parts',
                [Signaller('step', step)],
                resume=step > 3,
                **options(),
            ).train()
    make_runner(tmp_path / 'parts', resume=True, **options()).train()
    assert_same_run(tmp_path / 'parts', tmp_path / 'whole')


def test_early_stopping_counts_on(tmp_path):
    def hooks():
        return dict(
            type='EarlyStoppingHook',
            monitor='toy/score',
            rule='greater',
            min_delta=100.0,
            patience=2,
        )

    options = dict(train_cfg=dict(by_epoch=True, max_epochs=9))
    runner = make_runner(tmp_path / 'whole', [hooks()], **options)
    runner.train()
    assert runner.epoch == 3
    with pytest.raises(Kill):
        make_runner(
            tmp_path / 'parts', [hooks(), Killer('load', 13)], **options
        ).train()
    runner = make_runner(tmp_path / 'parts', [hooks()], resume=True, **options)
    runner.train()
    assert runner.epoch == 3

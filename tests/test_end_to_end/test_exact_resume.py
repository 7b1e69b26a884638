"""A training that is killed anywhere and resumed equals one that was not."""

import json
import os
import signal
from pathlib import Path

import pytest
from support.configs import shrink
from support.kill_moments import draw_moments
from support.same_run import assert_same_run

EPOCHS, EPOCH_STEPS = 4, 5
STEPS = EPOCHS * EPOCH_STEPS
#: Trainings of each kind in the slow tests.
NUM_SEEDS = int(os.environ.get('GTPT_MM_CHAOS_SEEDS', 1))


@pytest.fixture(scope='module')
def write_config(small_config, tmp_path_factory):
    """Return a function that writes a tiny training with options."""
    folder = tmp_path_factory.mktemp('exact')

    def write(name: str, workers: int = 0, persistent: bool = False) -> Path:
        cfg = small_config('demo')
        cfg.model = shrink(cfg.model)
        cfg.train_cfg.update(max_epochs=EPOCHS, val_interval=1)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.update(num_workers=workers, persistent_workers=persistent)
        cfg.train_dataloader.update(batch_size=4)
        cfg.train_dataloader.dataset.indices = 4 * EPOCH_STEPS
        cfg.val_dataloader.batch_size = 2
        cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
        cfg.custom_hooks = [
            dict(
                type='CurriculumHook',
                switch_epoch=2,
                keypoints=list(range(10)),
                param_scheduler=[
                    dict(type='LinearLR', by_epoch=False, end=3),
                    dict(type='CosineAnnealingLR', by_epoch=True),
                ],
            ),
            dict(type='CosineEMAHook', momentum=0.1),
        ]
        cfg.default_hooks.checkpoint.update(
            interval=1, max_keep_ckpts=1, save_best='coco/AP', rule='greater'
        )
        path = folder / f'{name}.py'
        cfg.dump(path)
        return path

    return write


@pytest.fixture(scope='module')
def run_all(run_script, tmp_path_factory):
    """Run trainings with moments; return their folders and exit codes."""

    def run(**runs: dict) -> dict[str, tuple[Path, list]]:
        folder = tmp_path_factory.mktemp('runs')
        for name, options in runs.items():
            options.update(
                config=str(options['config']), work_dir=str(folder / name)
            )
        plan, results = folder / 'plan.json', folder / 'results.json'
        plan.write_text(json.dumps(runs))
        [code], [printed] = run_script(
            'kill_and_resume.py', plan, results, timeout=3600
        )
        assert code == 0, printed[-3000:]
        codes = json.loads(results.read_text())
        return {name: (folder / name, codes[name]) for name in runs}

    return run


def read_output(run: tuple[Path, list]) -> str:
    return Path(f'{run[0]}.log').read_text()


def same(run: tuple[Path, list], whole: tuple[Path, list]) -> None:
    for each in (run, whole):
        assert not any(each[1][-1]), f'{each[1]}\n{read_output(each)[-3000:]}'
    assert_same_run(run[0], whole[0])


@pytest.fixture(scope='module')
def quick(write_config, run_all):
    """One training undisturbed, again, killed ten times, and stopped."""
    alone, workers = write_config('alone'), write_config('workers', 1, True)
    return run_all(
        whole=dict(config=alone, moments=[]),
        again=dict(config=alone, moments=[]),
        killed=dict(config=alone, moments=draw_moments(0, STEPS, 10)),
        stopped=dict(
            config=workers,
            moments=[(6, 'load'), (15, 'validation')],
            number=int(signal.SIGTERM),
        ),
    )


def test_two_runs_are_equal(quick):
    same(quick['again'], quick['whole'])


def test_killed_ten_times(quick):
    """In data loading, steps, saves, validation and between epochs."""
    same(quick['killed'], quick['whole'])
    tries = quick['killed'][1]
    assert tries[:-1] == [[-signal.SIGKILL]] * (len(tries) - 1)
    assert len(tries) > 8


def test_stopped_by_a_signal_with_a_worker(quick):
    """Also: one worker gives what none gives."""
    same(quick['stopped'], quick['whole'])
    assert quick['stopped'][1] == [[143], [143], [0]]
    assert 'SIGTERM: stopped in epoch' in read_output(quick['stopped'])


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(NUM_SEEDS))
@pytest.mark.parametrize('world_size', [1, 2])
@pytest.mark.parametrize(
    ('workers', 'persistent'),
    [(0, False), (1, False), (1, True), (2, False), (2, True)],
)
def test_killed_twenty_times(
    write_config, run_all, workers, persistent, world_size, seed
):
    num_steps = STEPS // world_size
    runs = run_all(
        whole=dict(
            config=write_config('alone'), moments=[], world_size=world_size
        ),
        killed=dict(
            config=write_config('workers', workers, persistent),
            moments=draw_moments(seed, num_steps, 20),
            world_size=world_size,
        ),
    )
    same(runs['killed'], runs['whole'])
    assert len(runs['killed'][1]) > 10

"""Runs, tuning, verdicts and tables of projects/photographs."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

import gtpt_mm  # noqa: F401  (compat and registration)
from projects.photographs import claims, results, table, training
from projects.photographs.claims import CLAIMS
from projects.photographs.learn import format_list, plan
from projects.photographs.models import SubsetPCK
from projects.photographs.models.cached_image import LoadCachedImage
from projects.photographs.models.processor_time import FILE, read_seconds
from projects.photographs.runs import (
    CLAIM_RUNS,
    DEFAULT_RUNS,
    RATES,
    ROOT,
    ROWS,
    RUNS,
    TUNED,
    fill_in,
    trials,
)

ROW_METRICS = {key: 0.5 for _, key, _ in table.METRICS}


def plant(out: Path, name: str, **content) -> None:
    """Write the result of a run that was never made."""
    (out / name).mkdir(parents=True)
    result = dict(
        name=name, date='2026-01-01', commit='abc', lr=0.001,
        seconds_per_epoch=12.4, curve=[],
    )  # fmt: skip
    path = out / name / training.RESULT
    path.write_text(json.dumps(result | content))


def plant_tuning(out: Path, family: str, losses: tuple) -> None:
    """Write the losses of the trials of a family."""
    for trial, loss in zip(trials(family), losses, strict=True):
        plant(out, trial.name, loss=loss)


@pytest.mark.parametrize('run', DEFAULT_RUNS, ids=lambda run: run.name)
def test_config_of_a_run_says_what_the_run_says(run, tmp_path):
    """Each builds; rows have one budget; names of other runs are filled in."""
    if run.family:
        plant_tuning(tmp_path, run.family, (3.0, 1.0, 2.0))
    config = training.read_config(run, tmp_path)
    assert config.work_dir == str(tmp_path / run.name)
    assert config.randomness.seed == run.seed
    assert not config.resume
    for value in run.options.values():
        assert '{' not in str(fill_in(value, run, tmp_path))
    if run.family:
        assert config.optim_wrapper.optimizer.lr == RATES[1]
    if run in ROWS:
        assert config.train_cfg.max_epochs == 15
        assert config.train_dataloader.batch_size == 16
        assert config.train_dataloader.dataset.pipeline[:4] == (
            Config.fromfile(ROWS[0].path).augmentation
        )
        init_default_scope('mmpose')
        assert MODELS.build(config.model) is not None


def test_rows_of_a_family_share_the_rate_of_its_tuned_member():
    """The tuned member is a row, and all rows have a family."""
    names = {run.name for run in ROWS}
    assert set(TUNED.values()) <= names
    assert {run.family for run in ROWS} == set(TUNED)


def test_rate_is_that_of_the_lowest_loss(tmp_path):
    """A trial that was not made is an error, one of infinite loss is not."""
    first, second, third = trials('gtpt')
    plant(tmp_path, first.name, loss=0.2)
    plant(tmp_path, second.name, loss=0.1)
    with pytest.raises(FileNotFoundError, match=third.name):
        training.choose_rate('gtpt', tmp_path)
    plant(tmp_path, third.name, loss=float('inf'))
    assert training.choose_rate('gtpt', tmp_path) == RATES[1]


def test_trial_trains_on_every_tenth_picture_without_validation(tmp_path):
    """Its rate is its own; nothing of the val split is read."""
    config = training.read_config(trials('simcc')[2], tmp_path)
    assert config.train_dataloader.dataset.indices == list(range(0, 1900, 10))
    assert config.optim_wrapper.optimizer.lr == RATES[2]
    assert config.val_dataloader is None
    assert config.test_dataloader is None


def test_plan_leaves_out_what_is_finished(tmp_path):
    """Trials come first, then the runs whose weights are read."""
    plant_tuning(tmp_path, 'vitpose', (1.0, 2.0, 3.0))
    names = [step.name for step in plan(RUNS['tiny_distilled'], tmp_path)]
    assert names == ['vitpose-s', 'tiny_distilled']
    plant(tmp_path, 'vitpose-s')  # figures alone give no teacher
    names = [step.name for step in plan(RUNS['tiny_distilled'], tmp_path)]
    assert names == ['vitpose-s', 'tiny_distilled']
    (tmp_path / 'vitpose-s' / results.WEIGHTS).touch()
    names = [step.name for step in plan(RUNS['tiny_distilled'], tmp_path)]
    assert names == ['tiny_distilled']
    names = [step.name for step in plan(RUNS['gtpt-s'], tmp_path)]
    assert names == [*(trial.name for trial in trials('gtpt')), 'gtpt-s']


def test_claims_stay_within_their_budget():
    """At most 30 runs of at most 12 minutes; each is read by a claim."""
    assert len(CLAIM_RUNS) <= 30
    assert max(run.minutes for run in CLAIM_RUNS) <= 12
    read = {name for claim in CLAIMS for name in claim.runs}
    assert read <= set(RUNS)
    needed = {name for run in CLAIM_RUNS for name in run.needs}
    assert {run.name for run in CLAIM_RUNS} <= read | needed
    assert f'| {len(CLAIM_RUNS)} runs |' in format_list(CLAIM_RUNS)


@pytest.mark.parametrize(
    ('better', 'other', 'spread', 'is_equal', 'verdict'),
    [
        ([0.5], [0.4], 0.04, False, claims.HELD),
        ([0.5], [0.4], 0.06, False, claims.OPEN),
        ([0.3], [0.4], 0.04, False, claims.FAILED),
        ([0.3], [0.4], 0.06, False, claims.OPEN),
        ([0.5], [0.4], None, False, claims.OPEN),
        ([0.3, 0.48], [0.4], 0.18, True, claims.NO_LOSS),
        ([0.3], [0.4], 0.04, True, claims.FAILED),
        ([0.5], [0.4], 0.04, True, claims.NO_LOSS),
        ([0.4], [0.4], None, True, claims.SAME),
        ([0.4], [], 0.04, False, claims.MISSING),
    ],
)
def test_verdict_compares_with_twice_the_spread(
    better, other, spread, is_equal, verdict
):
    """Mean against mean; without a spread only equality can be told."""
    assert claims.judge(better, other, spread, is_equal) == verdict


def test_spread_is_the_largest_difference_between_seeds():
    """A variant of one seed has none."""
    assert claims.measure_spread([0.1], [0.5]) is None
    spread = claims.measure_spread([0.1, 0.15], [0.5], [0.7, 0.4, 0.6])
    assert spread == pytest.approx(0.3)


def test_page_has_what_was_run_and_names_the_rest(tmp_path):
    """Tables are written between their markers, twice to the same text."""
    out = tmp_path / 'out'
    plant(out, 'gtpt-t', metrics=ROW_METRICS)
    plant(out, 'bee_gtpt', metrics={'at_0.1/PCK': 0.6})
    plant(out, 'bee_gtpt_seed2', metrics={'at_0.1/PCK': 0.62})
    plant(out, 'bee_no-groups', metrics={'at_0.1/PCK': 0.5})
    plant_tuning(out, 'gtpt', (0.2, 0.1, float('inf')))
    cost = dict(model='gtpt-t', parameters=2_310_000, macs_operators=2e8)
    time = dict(model='gtpt-t', runtime='onnxruntime', median_ms=3.21)
    (out / 'speed.json').write_text(
        json.dumps(dict(models=[cost], rows=[time]))
    )
    page = tmp_path / 'photographs.md'
    markers = (f'<!-- table: {n} -->\nold\n<!-- end: {n} -->\nkept {n}'
               for n in table.TABLES)  # fmt: skip
    page.write_text('\n'.join(markers))
    kept = tmp_path / 'kept'
    arguments = ['--out', str(kept), '--page', str(page)]
    table.main([*arguments, '--take', str(out)])
    text = page.read_text()
    assert (
        '| GTPT-T | 1 | 0.500 | 0.500 | 0.500 | 0.500 | 2.31 | 0.200 | 3.2 | '
        '12 | 0.001 |' in text
    )
    assert f'| ViTPose-S | 1 | {table.NOT_RUN} |' in text
    assert (
        '| GTPT | groups and masks help | 0.600, 0.620 | 0.500 | 0.020 | '
        f'{claims.HELD} |' in text
    )
    assert '| gtpt-t | 0.2 | **0.1** | inf |' in text
    assert 'old' not in text
    assert all(f'kept {name}' in text for name in table.TABLES)
    table.main(arguments)
    assert page.read_text() == text
    assert (tmp_path / 'assets/photographs_curves.png').stat().st_size < 3e5


def test_closest_rows_are_those_of_the_smallest_gap(tmp_path):
    """Nothing is said before all rows are there."""
    for i, run in enumerate(ROWS):
        assert table.find_closest(tmp_path) is None
        pck = 0.3 if run.name == 'gtpt-s' else 0.1 * i + 0.005 * i * i
        plant(tmp_path, run.name, metrics=ROW_METRICS | {'at_0.1/PCK': pck})
    closest = table.find_closest(tmp_path)
    assert closest == ('gtpt-s', 'vitpose-tiny')
    plant(tmp_path, 'gtpt-s_seed2', metrics=ROW_METRICS)
    assert '| GTPT-S | 2 | 0.500 |' in table.write_rows(tmp_path)


def test_page_without_a_marker_is_refused(tmp_path):
    """The page is left as it was."""
    page = tmp_path / 'page.md'
    page.write_text('nothing')
    with pytest.raises(ValueError, match='table: rows'):
        table.write_page(page, tmp_path)
    assert page.read_text() == 'nothing'


def test_repeated_epochs_count_once(tmp_path):
    """An epoch that was begun again after a kill has its last time."""
    rows = [dict(epoch=1, seconds=5.0), dict(epoch=2, seconds=9.0),
            dict(epoch=2, seconds=6.0)]  # fmt: skip
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    (tmp_path / FILE).write_text(text)
    assert read_seconds(tmp_path) == [5.0, 6.0]
    assert read_seconds(tmp_path / 'nowhere') == []


def test_subset_pck_counts_its_keypoints_alone():
    """Two of three are near; of the first two, one of two."""
    truth = np.array([[[0, 0], [50, 50], [90, 90]]], np.float32)
    predicted = truth + np.array([[[0, 0], [30, 0], [1, 1]]], np.float32)
    sample = dict(
        pred_instances=dict(keypoints=predicted),
        gt_instances=dict(
            keypoints=truth,
            keypoints_visible=np.ones((1, 3), np.float32),
            bboxes=np.array([[0, 0, 100, 80]], np.float32),
        ),
    )
    found = []
    for indices in ([0, 1], [0, 1, 2]):
        metric = SubsetPCK(indices, thr=0.1)
        metric.process([{}], [sample])
        found.append(metric.compute_metrics(metric.results)['PCK'])
    assert found == [pytest.approx(0.5), pytest.approx(2 / 3)]


def test_cached_picture_is_the_decoded_one(tmp_path, monkeypatch):
    """The second time no file is read."""
    import cv2

    monkeypatch.setattr(LoadCachedImage, '_images', {})
    path = tmp_path / 'a.png'
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    cv2.imwrite(str(path), picture)
    load = LoadCachedImage()
    first = load(dict(img_path=str(path)))
    path.unlink()
    second = load(dict(img_path=str(path)))
    for loaded in (first, second):
        np.testing.assert_array_equal(loaded['img'], picture)
        assert loaded['img_shape'] == loaded['ori_shape'] == (5, 7)


def test_every_config_belongs_to_a_run():
    """None is forgotten."""
    folder = ROOT / 'projects/photographs/configs'
    assert {p.stem for p in folder.glob('*.py')} == {
        run.config for run in RUNS.values()
    }

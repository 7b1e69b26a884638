import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.projects import load_script

from gtpt_mm.benchmark import Comparison, Training

#: Stands in for mim: Python finds it in the folder where a training runs.
MIM = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
print(*sys.argv[1:], 'threads', os.environ['OMP_NUM_THREADS'],
      os.environ['OMP_WAIT_POLICY'])
if 'bad' in sys.argv[3]:
    sys.exit(3)
seed = int(sys.argv[-1].split('=')[1])
logs = folder / 'today/vis_data'
logs.mkdir(parents=True)
rows = [dict(loss=2, step=2), dict(AP=0.1, step=1), dict(AP=seed / 8, step=2)]
(logs / 'scalars.json').write_text('\\n'.join(map(json.dumps, rows)))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with configs of two epochs and the stand-in for mim."""
    (tmp_path / 'mim.py').write_text(MIM)
    for name in ('small', 'bad'):
        (tmp_path / f'{name}.py').write_text('train_cfg = dict(max_epochs=2)')
    return tmp_path


@pytest.fixture
def training(folder):
    return Training(folder / 'small.py', 3, folder / 'out', folder)


@pytest.fixture
def comparison(folder):
    return Comparison(
        title='size',
        configs={'s': folder / 'small.py', 'b': folder / 'bad.py'},
        columns=('AP',),
        read=lambda training: training.last_metrics('AP'),
        root=folder,
        labels={'s': 'small'},
        digits=3,
    )


def write_scalars(training, start, *rows):
    path = training.folder / start / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, rows)))


def test_last_metrics(training):
    assert training.last_metrics('AP') is None
    write_scalars(training, '1', dict(AP=0.1, step=1), dict(loss=1, step=2))
    assert training.last_metrics('AP') is None
    # Resumed: a second folder; and the epoch that counts is the config's.
    write_scalars(training, '2', dict(AP=0.2, step=2), dict(AP=0.3, step=4))
    assert training.last_metrics('AP') == dict(AP=0.2, step=2)
    write_scalars(training, '3', dict(AP=0.4, step=2), dict(loss=1, step=2))
    assert training.last_metrics('AP') == dict(AP=0.4, step=2)


def test_names(training, folder, monkeypatch):
    assert training.folder == folder / 'out/small_seed3'
    assert training.checkpoint == folder / 'out/small_seed3/epoch_2.pth'
    monkeypatch.chdir(folder)
    relative = replace(training, out=Path('out'))
    assert relative.folder == training.folder  # mim may run elsewhere


def test_train_calls_mim(training, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)
    training.train()
    assert (training.folder / 'run.log').read_text().split() == [
        'train', 'mmpose', str(training.config),
        '--work-dir', str(training.folder),
        '--cfg-options', 'randomness.seed=3', 'threads', '1',
        'PASSIVE',
    ]  # fmt: skip
    monkeypatch.setenv('OMP_WAIT_POLICY', 'ACTIVE')
    other = replace(training, seed=4)
    other.train()
    assert (other.folder / 'run.log').read_text().split()[-1] == 'ACTIVE'


def test_only_what_lacks_is_trained(comparison, folder, capsys):
    def run(*args):
        out = ['--out', str(folder / 'out')]
        comparison.main('Compare.', 'unused', [4], argv=[*out, *args])
        return capsys.readouterr().out.splitlines()

    head = ['| size | seed | AP |', '|---|---|---|']
    assert run('--table') == head
    table = [*head, '| small | 4 | 0.500 |']
    assert run('--variants', 's') == ['small_seed4: training ...', *table]
    assert run('--variants', 's') == table
    assert run('--variants', 's', '--seeds', '4', '5') == [
        'small_seed5: training ...', *table, '| small | 5 | 0.625 |',
    ]  # fmt: skip


def test_a_failing_run_names_its_log(comparison, folder):
    log = folder / 'out/bad_seed4/run.log'
    with pytest.raises(SystemExit, match=f'{log} ends with exit code 3'):
        comparison.main(
            'Compare.', str(folder / 'out'), [4], argv=['--variants', 'b']
        )
    assert 'bad.py' in log.read_text()


@pytest.mark.parametrize(
    ('project', 'head', 'epochs'),
    [
        ('gtpt', '| variant | seed | body | feet | face | hands | all | PCK |',
         6),
        ('hevitpose', '| choice | seed | PCK | PCK@0.1 | Elbow PCK | Wrist PCK'
         ' | Knee PCK | Ankle PCK |', 3),
        ('group_pose', '| self-attention | seed | AP | AP .5 | AP .75 | AR |',
         20),
    ],
)  # fmt: skip
def test_projects(project, head, epochs, repo_root, tmp_path):
    folder = repo_root / f'projects/{project}_ablations'
    module = load_script(f'{project}_ablations/learn.py')
    comparison = module.COMPARISON
    assert comparison.format_table(tmp_path, [1]).splitlines()[0] == head
    for variant in comparison.configs:
        training = comparison.training(variant, 1, tmp_path)
        assert training.checkpoint.name == f'epoch_{epochs}.pth'
    # The project's page shows the table as it is printed.
    assert head in (folder / 'README.md').read_text()

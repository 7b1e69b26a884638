import json

import pytest

import gtpt_mm.benchmark
from gtpt_mm.cli import main

SAMPLE = 'gtpt-t_1xb16-14e_sample-96x64'
UNPRUNED = 'model.backbone.keep_rates=[1,1,1,1]'


def test_pruned_beside_unpruned(capsys, tmp_path):
    files = tmp_path / 'new' / 'x.json', tmp_path / 'new' / 'x.svg'
    code = main(
        [
            'benchmark', SAMPLE, SAMPLE, UNPRUNED, 'label=unpruned',
            '--batch-sizes', '1', '--train', '2', '--threads', '1',
            '--repeats', '2', '--warmup', '1', '--clock', 'cpu',
            '--json', str(files[0]), '--plot', str(files[1]),
        ]
    )  # fmt: skip
    assert code == 0
    out, err = capsys.readouterr()
    assert '| unpruned ' in out
    assert 'round 2 of 2' in err
    content = json.loads(files[0].read_text())
    pruned, unpruned = content['models']
    assert unpruned['parameters'] == pruned['parameters']
    assert unpruned['macs_modules'] > pruned['macs_modules']
    assert unpruned['macs_operators'] > pruned['macs_operators']
    assert [(row['model'], row['task']) for row in content['rows']] == [
        (SAMPLE, 'inference'),
        ('unpruned', 'inference'),
        (SAMPLE, 'training'),
        ('unpruned', 'training'),
    ]
    assert not any(row['error'] for row in content['rows'])
    assert '<svg' in files[1].read_text()


def test_count_only(capsys):
    assert main(['benchmark', SAMPLE, '--count-only']) == 0
    out, err = capsys.readouterr()
    assert f'| {SAMPLE} | 96 x 64 ' in out
    assert 'quartiles' not in out
    assert not err


def test_exit_code_of_a_model_that_fails(capsys, monkeypatch):
    def fail(call, device):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(gtpt_mm.benchmark.measure, 'peak_memory', fail)
    code = main(['benchmark', SAMPLE, '--batch-sizes', '1', '--warmup', '0'])
    assert code == 1
    assert '[1] not supported: out of memory' in capsys.readouterr().out


@pytest.mark.parametrize(
    'words, message',
    [
        (['gtpt-q'], "no config is called 'gtpt-q'"),
        ([SAMPLE, '--precision', 'fp7'], 'fp7'),
        ([SAMPLE, '--plot', 'x.docx'], 'x.docx'),
        ([SAMPLE, '--plot', 'x.png', '--count-only'], '--count-only'),
        ([SAMPLE, '--json', 'x.svg', '--plot', 'x.svg'], 'both write x.svg'),
        ([SAMPLE, '--plot-accuracy', 'x.docx'], 'x.docx'),
        ([SAMPLE, '--plot-accuracy', 'x.png'], 'no accuracy is known for any'),
        ([SAMPLE, '--runtime', 'tensorrt'], "got ['tensorrt']"),
        ([SAMPLE, '--precision', 'int8'], 'add --runtime onnxruntime or open'),
        ([SAMPLE, '--flip-test', 'on'], '--flip-test belongs to --data ANN'),
        ([SAMPLE, '--data', 'no.json'], 'there is no file no.json'),
        (['hf:vitpose-tiny'], 'hf:vitpose-tiny is neither a folder nor'),
        (['x.onnx'], 'there is no file x.onnx'),
        ([SAMPLE, 'weights=no.pth'], "weights='no.pth' is neither a file"),
        ([SAMPLE, '--time-limit', '-1'], 'time_limit must be positive: -1.0'),
        ([SAMPLE, '--time-limit', 'nan'], 'time_limit must be positive: nan'),
        ([SAMPLE, '--input-size', '32', '32', '--count-only'], r'\(32, 32\)'),
    ],
)
def test_bad_input(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['benchmark', *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith('gtpt-mm benchmark: ')
    assert message.replace('\\', '') in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('option', ['--json', '--plot'])
def test_wrong_targets_are_found_before_measuring(
    option, capsys, tmp_path, monkeypatch
):
    def measure(*args):
        raise AssertionError('measured')

    monkeypatch.setattr(gtpt_mm.benchmark, 'run_benchmark', measure)
    old = tmp_path / 'old.svg'
    old.write_text('precious')
    (tmp_path / 'folder.svg').mkdir()
    (tmp_path / 'link.svg').symlink_to('gone.svg')
    for name, word in (
        ('old.svg', 'exists; give --overwrite'),
        ('folder.svg', 'is a folder'),
        ('link.svg', 'is a link to gone.svg'),
        ('old.svg/x.svg', 'is not a folder'),
    ):
        assert main(['benchmark', SAMPLE, option, str(tmp_path / name)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert str(tmp_path / name) in line or 'old.svg' in line
        assert word in line
    assert old.read_text() == 'precious'
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'folder.svg', 'link.svg', 'old.svg',
    ]  # fmt: skip


def test_overwrite_replaces(capsys, tmp_path):
    file = tmp_path / 'old.json'
    file.write_text('precious')
    command = ['benchmark', SAMPLE, '--count-only', '--json', str(file)]
    assert main([*command, '--overwrite']) == 0
    assert json.loads(file.read_text())['models']
    assert list(tmp_path.iterdir()) == [file]


def test_config_is_checked_unless_the_user_says_no(capsys):
    words = [SAMPLE, 'model.test_cfg.fliptest=True', '--count-only']
    assert main(['benchmark', *words]) == 2
    err = capsys.readouterr().err
    assert 'model.test_cfg.fliptest=True' in err and "'flip_test'" in err
    assert main(['benchmark', *words, '--no-config-check']) == 0

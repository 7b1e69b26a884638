"""Bad checkpoints and bad targets through every command that meets them."""

import errno
import hashlib
import io
import os
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from gtpt_mm.cli import main
from gtpt_mm.convert import check_dataset_name, read_checkpoint
from gtpt_mm.convert.files import write_state_dict

CONFIG = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)
PLUS = (
    'configs/multi_dataset/vitpose_plus/sample/'
    'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
)


class Evil:
    def __reduce__(self):
        return os.mkdir, ('ran',)


def _bytes_of(content: object, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _other_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        file.writestr('a.txt', 'text')
    return buffer.getvalue()


WEIGHTS = dict(state_dict={'a': torch.zeros(4000)})
BROKEN = {
    'empty': b'',
    'html': b'<html><body>404 Not Found</body></html>',
    'text': b'not found',
    'half': _bytes_of(WEIGHTS)[:9000],
    'half_old': _bytes_of(WEIGHTS, _use_new_zipfile_serialization=False)[
        :9000
    ],
    'zip': _other_zip(),
    'tensor': _bytes_of(torch.zeros(3)),
    'list': _bytes_of([1, 2]),
    'numbers': _bytes_of({1: torch.zeros(1)}),
    'no_average': _bytes_of(dict(ema_state_dict=[1], **WEIGHTS)),
    'evil': _bytes_of(dict(evil=Evil(), **WEIGHTS)),
    'evil_old': _bytes_of(
        dict(evil=Evil(), **WEIGHTS), _use_new_zipfile_serialization=False
    ),
}


@pytest.fixture(scope='session')
def plus(repo_root, tmp_path_factory):
    """Config and checkpoint of a tiny ViTPose++ of six datasets."""
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    folder = tmp_path_factory.mktemp('plus')
    cfg = Config.fromfile(repo_root / PLUS)
    init_default_scope('mmpose')
    model = MODELS.build(cfg.model)
    path = folder / 'plus.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return repo_root / PLUS, path


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), np.full((60, 40, 3), 90, np.uint8))
    return path


@pytest.fixture
def run(tmp_path, capsys, monkeypatch, repo_root, image, plus):
    """Run a command on a checkpoint; return the code and the last lines."""
    monkeypatch.chdir(tmp_path)

    def call(command: str, checkpoint, *options) -> tuple[int, list[str]]:
        words = {
            'convert': [checkpoint, 'out.pth'],
            'add-dataset': [checkpoint, 'out.pth', '--like', 'aic'],
            'split': [plus[0], checkpoint, 'out'],
            'visualize': [repo_root / CONFIG, checkpoint, image]
            + ['--out', 'out'],
        }[command]
        if command == 'add-dataset' and '--name' not in options:
            words += ['--name', 'cats']
        code = main([command, *map(str, [*words, *options])])
        return code, capsys.readouterr().err.splitlines()

    return call


@pytest.mark.parametrize('kind', [*BROKEN, 'missing', 'folder'])
@pytest.mark.parametrize('command', ['convert', 'add-dataset'])
def test_broken_files(command, kind, run, tmp_path):
    path = tmp_path / f'{kind}.pth'
    if kind in BROKEN:
        path.write_bytes(BROKEN[kind])
    elif kind == 'folder':
        path.mkdir()
    before = sorted(tmp_path.iterdir())
    code, [line] = run(command, path)
    assert code == 2
    assert line.startswith(f'gtpt-mm {command}: ') and str(path) in line
    # Not torch's advice; ours says what to do first.
    assert 'Re-running' not in line and 'Check the documentation' not in line
    assert ('was not loaded: it holds' in line) == kind.startswith('evil')
    assert sorted(tmp_path.iterdir()) == before  # no code ran, nothing written


@pytest.mark.parametrize('kind', ['empty', 'html', 'half', 'tensor', 'evil'])
@pytest.mark.parametrize('command', ['split', 'visualize'])
def test_broken_files_with_a_config(command, kind, run, tmp_path):
    path = tmp_path / f'{kind}.pth'
    path.write_bytes(BROKEN[kind])
    code, lines = run(command, path)
    assert code == 2
    assert str(path) in lines[-1] and 'Re-running' not in lines[-1]
    assert 'the config it was trained with' not in lines[-1]
    assert not (tmp_path / 'out').exists() and not (tmp_path / 'ran').exists()


def test_any_torn_file_is_named(plus, tmp_path):
    """Cut anywhere, or with bytes that changed: a name, or the content."""
    whole = plus[1].read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / 'torn.pth'
    for length in rng.integers(1, len(whole), 20):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match='torn.pth'):
            read_checkpoint(path)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite(value, run, plus, tmp_path):
    content = torch.load(plus[1], weights_only=True)
    names = list(content['state_dict'])
    bad = next(n for n in names if n.endswith('patch_embed.proj.weight'))
    content['state_dict'][bad][0, 0, 0, 0] = value
    torch.save(content, tmp_path / 'bad.pth')
    for command, options in (
        ('convert', ('--to', 'official')),
        ('add-dataset', ()),
        ('split', ()),
    ):
        code, [line] = run(command, tmp_path / 'bad.pth', *options)
        assert code == 2
        assert 'bad.pth are NaN or infinite in 1 of ' in line
    assert not list(tmp_path.glob('out*'))


def test_weights_of_another_model_are_counted(run, plus, tmp_path):
    content = torch.load(plus[1], weights_only=True)['state_dict']
    content['extra.weight'] = content.pop('backbone.last_norm.weight')
    torch.save(content, tmp_path / 'other.pth')
    code, [line] = run('split', tmp_path / 'other.pth')
    assert code == 2
    assert 'Not in the file: backbone.last_norm.weight.' in line
    assert 'Not in the model: extra.weight.' in line
    assert 'the config it was trained with' in line
    code, lines = run('visualize', plus[1])
    assert code == 2 and len(lines[-1]) < 1500


def test_sha256_is_that_of_the_file(run, plus, tmp_path, capsys):
    for command, options in (
        ('convert', ('--to', 'official')),
        ('add-dataset', ('--overwrite',)),
    ):
        code = main(
            [command, str(plus[1]), str(tmp_path / 'out.pth'), *options]
            + ['--name', 'cats', '--like', 'aic'] * (command == 'add-dataset')
        )
        printed = capsys.readouterr().out
        digest = hashlib.sha256((tmp_path / 'out.pth').read_bytes())
        assert code == 0 and f'SHA-256: {digest.hexdigest()}\n' in printed


# ------------------------------------------------------------------ targets


def _fill_disk(content, file):
    file.write(b'half')
    raise OSError(errno.ENOSPC, 'No space left on device')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_full_disk_leaves_the_old_file(
    suffix, plus, tmp_path, capsys, monkeypatch
):
    def fill(tensors, path, metadata):
        path.write_bytes(b'half')
        raise RuntimeError('I/O error: No space left on device')

    import safetensors.torch

    target = tmp_path / f'out{suffix}'
    target.write_text('old')
    monkeypatch.setattr(torch, 'save', _fill_disk)
    monkeypatch.setattr(safetensors.torch, 'save_file', fill)
    command = ['convert', str(plus[1]), str(target), '--overwrite']
    command += ['--dataset', 'aic', '--to', 'huggingface']
    assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert 'No space left on device' in line and 'out' in line
    assert target.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != 'posix', reason='limits are of POSIX')
def test_a_disk_that_fills_while_torch_writes_is_named(tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    target = tmp_path / 'out.pth'
    target.write_text('old')
    weights = dict(a=torch.zeros(10**5), b=torch.zeros(10**5))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 * 10**5, limits[1]))
        with pytest.raises(OSError, match='File too large.*out.pth'):
            write_state_dict(target, weights, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [target]


def test_split_writes_all_or_nothing(plus, tmp_path, capsys, monkeypatch):
    out = tmp_path / 'out'
    command = ['split', *map(str, plus), str(out), '--dataset', 'aic', 'coco']
    assert main(command) == 0
    names = ['aic.pth', 'aic.py', 'coco.pth', 'coco.py']
    assert sorted(os.listdir(out)) == names
    before = {name: (out / name).read_bytes() for name in names}
    assert main(command) == 2  # they exist
    save, calls = torch.save, []

    def fill_second(content, file):
        calls.append(file)
        (save if len(calls) == 1 else _fill_disk)(content, file)

    monkeypatch.setattr(torch, 'save', fill_second)
    assert main([*command, '--overwrite']) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith('coco.pth: No space left on device')
    assert len(calls) == 2
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_bad_targets_are_found_before_reading(run, tmp_path):
    (tmp_path / 'dangling.pth').symlink_to(tmp_path / 'gone.pth')
    for command in ('convert', 'add-dataset'):
        (tmp_path / 'out.pth').mkdir(exist_ok=True)
        code, [line] = run(command, 'no-such-file.pth', '--overwrite')
        assert code == 2 and 'out.pth is a folder' in line
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/aic.pth').symlink_to(tmp_path / 'gone.pth')
    code, [line] = run('split', 'x.pth', '--dataset', 'aic')
    assert code == 2 and 'aic.pth is a link to' in line
    assert not (tmp_path / 'gone.pth').exists()


# -------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ('name', 'word'),
    [
        ('a.b', "'a.b'"),
        ('', "''"),
        ('my cats', "'my cats'"),
        ('../cats', "'../cats'"),
        ('a\\b', 'letters'),
        ('a\n', 'letters'),
        ('-x', 'letters'),
        ('keys', "'keys'"),
        ('training', "'training'"),
        ('forward', "'forward'"),
        ('__init__', "'__init__'"),
    ],
)
def test_names_that_cannot_be_a_head(name, word, run, plus, tmp_path):
    code, [line] = run('add-dataset', plus[1], f'--name={name}')
    assert code == 2 and word in line
    assert not (tmp_path / 'out.pth').exists()


def test_names_of_heads():
    for name in ('coco', 'ap10k', 'coco-wholebody', 'cats_2+dogs', 'köpfe'):
        check_dataset_name(name)
        torch.nn.ModuleDict({name: torch.nn.Identity()})


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        ("names=['../../escape', 'aic']", 'escape'),
        ("names=['aic', 'mpii'], heads=dict(_delete_=True)", "'aic'"),
        ('names=None', 'MultiDatasetHead'),
    ],
)
def test_split_of_a_config_with_wrong_names(
    change, word, plus, tmp_path, capsys
):
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = '{plus[0]}'\nmodel = dict(head=dict({change}))"
    )
    out = tmp_path / 'a/b/out'
    code = main(['split', str(config), str(plus[1]), str(out)])
    [line] = capsys.readouterr().err.splitlines()
    assert code == 2 and word in line
    assert sorted(tmp_path.rglob('*')) == [config]


ASCII = """
import sys, gtpt_mm
from gtpt_mm.cli import main
assert sys.getfilesystemencoding() == 'ascii', sys.getfilesystemencoding()
assert gtpt_mm.import_error is None
config, checkpoint, out, target = sys.argv[1:]
print(main(['split', config, checkpoint, out, '--dataset', 'aic']))
print(main(['convert', checkpoint, target, '--to', 'official']))
"""


def test_ascii_locale_without_utf8_mode(plus, tmp_path):
    """Nothing reads or writes text in the encoding of the locale."""
    out = tmp_path / 'öut'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', ASCII, *plus, out]
        + [out / 'ä.pth'],
        capture_output=True,
        env={**os.environ, 'LC_ALL': 'C', 'PYTHONUTF8': '0',
             'PYTHONCOERCECLOCALE': '0', 'OMP_NUM_THREADS': '1'},
    )  # fmt: skip
    printed = done.stdout.decode()
    assert [li for li in printed.splitlines() if li in ('0', '2')] == [
        '0', '0',
    ], printed + done.stderr.decode()  # fmt: skip
    names = ['aic.pth', 'aic.py', 'ä.pth']
    assert sorted(p.name for p in out.iterdir()) == names
    assert Config.fromfile(out / 'aic.py').model.head

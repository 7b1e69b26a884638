"""``gtpt-mm predict --shard`` with a tiny model."""

import sys

import pytest
import torch
from support.collection import draw_pictures
from support.configs import ROOT

from gtpt_mm.apis import read_predictions
from gtpt_mm.apis.model_names import load_model
from gtpt_mm.cli import main

pytest.importorskip('pyarrow.parquet')

MODEL = str(
    ROOT / 'configs/body_2d_keypoint/gtpt/sample'
    '/gtpt-t_1xb16-14e_sample-96x64.py'
)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    draw_pictures(folder, 5)
    return folder


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A file with nothing but a state dict."""
    file = tmp_path_factory.mktemp('weights') / 'weights.pth'
    torch.save(load_model(MODEL, 'random', 'cpu').state_dict(), file)
    return file


def predict(*args, model=MODEL) -> int:
    options = ['--model', model, '--device', 'cpu']
    return main(['predict', *map(str, args), *options])


def test_two_processes_of_torchrun(
    tmp_path, monkeypatch, pictures, weights, capsys
):
    """One after the other here; the second run has nothing to do."""
    out = tmp_path / 'out'
    (tmp_path / 'list.txt').write_text(
        '\n'.join(map(str, sorted(pictures.iterdir())))
    )
    args = [tmp_path / 'list.txt', '--weights', weights, '--out', out]
    args += ['--detector', 'whole_image', '--shard', 'auto']
    monkeypatch.setenv('WORLD_SIZE', '2')
    for words in ('images, ', 'finished before'):
        for rank, num in enumerate((2, 3)):
            monkeypatch.setenv('RANK', str(rank))
            assert predict(*args) == 0
            printed = capsys.readouterr().out
            assert printed.startswith(f'shard {rank}/2: ')
            assert words in printed and str(out) in printed
            assert (f'{num} images' in printed) == (words == 'images, ')
    found = list(read_predictions(out))
    assert [r.frame.source for r in found] == sorted(
        map(str, pictures.iterdir())
    )
    assert all(len(r) == 1 and r.keypoints.shape == (1, 17, 2) for r in found)
    assert predict(*args[:-1], '0/1') == 2
    assert 'holds shards of 2, not of 1' in capsys.readouterr().err


@pytest.mark.parametrize(
    'options, words',
    [
        (['--shard', '2/2'], '--shard 2/2: a shard is I/N with I from 0'),
        (['--shard', ''], '--shard : a shard is'),
        (['--shard', 'auto'], 'neither torchrun'),
        (['--shard', '0/2', '--track'], '--track has no effect'),
        (['--shard', '0/2', '--to', 'cvat'], '--to has no effect'),
        (['--shard', '0/2', '--format', 'csv'], '--format has no effect'),
    ],
)
def test_bad_arguments(
    tmp_path, monkeypatch, pictures, capsys, options, words
):
    for name in ('RANK', 'SLURM_PROCID', 'SLURM_ARRAY_TASK_ID'):
        monkeypatch.delenv(name, raising=False)
    args = [pictures, '--out', tmp_path / 'out', *options]
    assert predict(*args, model='no-such-model') == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_out_is_an_input(pictures, capsys):
    assert predict(pictures, '--out', f'{pictures}/', '--shard', '0/1') == 2
    assert 'is one of the inputs' in capsys.readouterr().err


def test_pyarrow_is_missing(tmp_path, monkeypatch, pictures, capsys):
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    monkeypatch.delitem(sys.modules, 'pyarrow.parquet')
    args = [pictures, '--out', tmp_path / 'out', '--shard', '0/1']
    assert predict(*args, model='no-such-model') == 2
    assert 'pip install "gtpt_mm[parquet]"' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()

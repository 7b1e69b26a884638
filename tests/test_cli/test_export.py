"""``gtpt-mm export``: files, printed lines, exit codes."""

import pytest
from support.stock_inference import draw_noise, small_config

import gtpt_mm
from gtpt_mm.cli import main

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


@pytest.fixture
def config(tmp_path):
    """Return the file of a small ViTPose."""
    path = tmp_path / 'small.py'
    small_config('vitpose').dump(path)
    return str(path)


def test_a_file_is_written_and_compared(config, tmp_path, capsys):
    import cv2

    pictures = tmp_path / 'pictures'
    pictures.mkdir()
    for i in range(2):
        cv2.imwrite(f'{pictures}/{i}.png', draw_noise(90, 70, seed=i))
    out = tmp_path / 'new' / 'small.onnx'
    arguments = ['export', config, 'random', '--out', str(out)]
    assert main([*arguments, '--pictures', str(pictures)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        'small: images of 64 x 96 (w, h), batch dynamic -> heatmaps'
    )
    assert lines[1] == (
        'compared with torch on 8 images in batches of 1, 2, 5'
    )
    assert lines[-1].startswith('passed: the largest deviation may be 0.1 px')
    assert lines[-1].endswith(str(out))
    assert out.is_file()
    assert main([*arguments]) == 2
    assert 'give --overwrite' in capsys.readouterr().err


def test_a_file_that_deviates_ends_with_one(config, tmp_path, capsys):
    """Half precision is never exact."""
    out = tmp_path / 'small.onnx'
    arguments = ['--precision', 'fp16', '--batch', '2', '--decode']
    arguments += ['--tolerance-px', '0', '--out', str(out)]
    assert main(['export', config, 'random', *arguments]) == 1
    printed = capsys.readouterr().out
    assert 'batch 2 -> keypoints, scores' in printed
    failed = tmp_path / 'small.failed-check.onnx'
    assert f'FAILED: the mean deviation may be 0 px: {failed}' in printed
    assert failed.is_file()
    assert not out.exists()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--batch', 'two'], "batch must be 'dynamic' or a positive integer"),
        (['--format', 'openvino'], 'ends in .xml, got small.onnx'),
        (['--pictures', 'nowhere'], 'nowhere'),
        (['--dataset', 'coco'], "dataset='coco' is for a model of several"),
    ],
)
def test_bad_input_is_one_line(config, tmp_path, capsys, arguments, words):
    out = str(tmp_path / 'small.onnx')
    assert main(['export', config, 'random', '--out', out, *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.splitlines()[-1].startswith('gtpt-mm export: ')


def test_the_function_is_at_the_top():
    assert gtpt_mm.export.__module__ == 'gtpt_mm.apis.export'

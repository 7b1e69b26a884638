"""``gtpt-mm export``: files, printed lines, exit codes."""

import json
import re

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
    verdict = r'passed: largest deviation 0\.0\d{3} px, limit 0\.1 px: '
    assert re.fullmatch(verdict + re.escape(str(out)), lines[-1])
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
    assert f' px, limit 0 px: {failed}' in printed
    assert 'FAILED: mean deviation ' in printed
    assert failed.is_file()
    assert not out.exists()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--batch', 'two'], "batch must be 'dynamic' or a positive integer"),
        (['--format', 'openvino'], 'ends in .xml, got small.onnx'),
        (['--pictures', 'nowhere'], 'nowhere'),
        (['--dataset', 'coco'], "dataset='coco' is for a model of several"),
        (['--tolerance-px', 'nan'], 'pixels >= 0, got nan'),
        (['--tolerance-px', '-1'], 'pixels >= 0, got -1.0'),
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


@pytest.mark.parametrize(
    'change',
    [
        dict(image_id=7),  # of no picture
        dict(bbox=[1, 2]),
        dict(bbox='all'),
        dict(keypoints=None),
    ],
)
def test_annotations_that_are_not_whole(config, tmp_path, capsys, change):
    annotation = dict(
        id=1, image_id=1, category_id=1, bbox=[1, 2, 3, 4],
        keypoints=[1, 1, 2] * 17,
    )  # fmt: skip
    file = tmp_path / 'people.json'
    images = [dict(id=1, file_name='a.png')]
    truth = dict(images=images, annotations=[annotation | change])
    file.write_text(json.dumps(truth))
    out = str(tmp_path / 'small.onnx')
    arguments = ['--out', out, '--annotations', str(file)]
    assert main(['export', config, 'random', *arguments]) == 2
    words = f'{file} is not a complete COCO keypoint file'
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ('format', 'suffix', 'other'),
    [
        ('openvino', '.xml', '.bin'),
        ('tensorrt', '.engine', '.onnx'),
        ('tensorrt', '.engine', '.engine.json'),
    ],
)
def test_other_files_beside_it_are_kept(
    config, tmp_path, capsys, format, suffix, other
):
    """Also those that the format writes under further names."""
    kept = tmp_path / f'small{other}'
    kept.write_text('mine')
    arguments = ['--format', format, '--out', str(tmp_path / f'small{suffix}')]
    assert main(['export', config, 'random', *arguments]) == 2
    assert f'{kept} exists; give --overwrite' in capsys.readouterr().err
    assert kept.read_text() == 'mine'


def test_an_interruption_leaves_the_old_file(config, tmp_path, monkeypatch):
    from gtpt_mm.apis import export

    def interrupt(model, file, *args):
        assert file.stat().st_size > 10_000
        raise KeyboardInterrupt

    monkeypatch.setattr(export, 'verify', interrupt)
    out = tmp_path / 'out' / 'small.onnx'
    out.parent.mkdir()
    out.write_text('old')
    arguments = ['--overwrite', '--out', str(out)]
    assert main(['export', config, 'random', *arguments]) == 130
    assert [path.name for path in out.parent.iterdir()] == ['small.onnx']
    assert out.read_text() == 'old'


def test_a_model_in_training_goes_on(config):
    from gtpt_mm.apis.export import load

    model = gtpt_mm.load_model(config, 'random', 'cpu').train()
    assert not load(model, None, None).training
    assert all(part.training for part in model.modules())

"""The example without torch, beside the inferencer of this package."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from support.inference import TOP_DOWN, small_model
from support.photographs import read_photographs

from gtpt_mm.apis import PoseInferencer
from gtpt_mm.apis.export import export
from gtpt_mm.deploy import export_model

pytest.importorskip('onnxruntime')
#: Runs a script where nothing of torch and of this package can be imported.
ALONE = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in REFUSED:
            raise ImportError(f'{name} is not for this script')

REFUSED = {'torch', 'torchvision', 'mmcv', 'mmengine', 'mmpose', 'gtpt_mm',
           'onnx', 'scipy'}
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
assert not REFUSED & set(sys.modules)
"""


def run(script, *args) -> str:
    command = [sys.executable, '-c', ALONE, script, *args]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def script(repo_root):
    return repo_root / 'projects/onnx_inference/infer.py'


@pytest.fixture(scope='module')
def detector(shared_dir):
    return shared_dir / 'weights/yolox_nano.onnx'


@pytest.fixture(scope='module')
def pictures(shared_dir, tmp_path_factory):
    """Three photographs with people, as files without loss."""
    folder = tmp_path_factory.mktemp('pictures')
    photographs = read_photographs(shared_dir / 'data/sets/coco_mini')
    several = [p.image for p in photographs if len(p.boxes) > 2][:3]
    paths = [folder / f'{i}.png' for i in range(len(several))]
    for path, image in zip(paths, several, strict=True):
        cv2.imwrite(str(path), image)
    return paths


@pytest.fixture(
    scope='module',
    params=[pytest.param('gtpt', marks=pytest.mark.slow), 'vitpose'],
)
def pose(request, tmp_path_factory):
    """A model and its file: SimCC with crops as usual, heatmaps with UDP's."""
    model = small_model(TOP_DOWN[request.param])
    file = tmp_path_factory.mktemp('pose') / f'{request.param}.onnx'
    return model, export_model(model, file, decode=True).file


@pytest.fixture(scope='module')
def int8_pose(tmp_path_factory, pictures):
    """A small ViTPose in 8 bits."""
    file = tmp_path_factory.mktemp('int8') / 'pose.onnx'
    model = small_model(TOP_DOWN['vitpose'])
    made = export(
        model, file=file, precision='int8', decode=True, tolerance_px=1e4,
        pictures=pictures[0].parent,
    )  # fmt: skip
    assert '3 pictures are few' in made.notes[0]
    return made.file


def test_the_script_is_short(script):
    assert len(script.read_text().splitlines()) <= 150


def test_pictures_as_by_the_inferencer(
    script, detector, pictures, pose, tmp_path
):
    model, file = pose
    inferencer = PoseInferencer(model, detector=detector, flip_test=False)
    people = 0
    for path, expected in zip(pictures, inferencer(pictures), strict=True):
        out, drawn = tmp_path / f'{path.stem}.json', tmp_path / path.name
        options = ['--detector', detector, '--pose', file]
        options += ['--json', out, '--out', drawn]
        run(script, path, *options)
        [found] = json.loads(out.read_text())
        keypoints = np.array(found['keypoints'])
        assert keypoints.shape == expected.keypoints.shape
        apart = np.abs(keypoints - expected.keypoints).max(-1)
        assert (apart <= 0.05).mean() >= 0.99, apart.max()
        np.testing.assert_allclose(found['scores'], expected.scores, atol=1e-3)
        assert (cv2.imread(str(drawn)) != cv2.imread(str(path))).any()
        people += len(keypoints)
    assert people >= 3


def test_frames_of_a_video(script, detector, pictures, pose, tmp_path):
    clip, drawn, out = (tmp_path / n for n in ('a.mp4', 'b.mp4', 'c.json'))
    frame = cv2.resize(cv2.imread(str(pictures[0])), (320, 240))
    code = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(clip), code, 12, (320, 240))
    for _ in range(3):
        writer.write(frame)
    writer.release()
    options = ['--detector', detector, '--pose', pose[1]]
    text = run(script, clip, *options, '--out', drawn, '--json', out)
    found = json.loads(out.read_text())
    assert text.startswith(f'3 images, {sum(len(f["scores"]) for f in found)}')
    video = cv2.VideoCapture(str(drawn))
    assert round(video.get(cv2.CAP_PROP_FPS)) == 12
    assert [video.read()[0] for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ('option', 'value', 'words'),
    [
        ('--pose', '{detector}', 'top-down model with --decode'),
        ('--detector', '{pose}', 'pose.onnx is not a YOLOX file'),
        ('--pose', 'nope.onnx', 'there is no nope.onnx'),
        ('--out', '{folder}/drawn', 'cannot write {folder}/drawn'),
        ('--out', '{folder}/none/a.jpg', 'cannot write {folder}/none/a.jpg'),
    ],
)
def test_other_files_are_refused(
    script, detector, pictures, int8_pose, tmp_path, option, value, words
):
    """The last of two equal options counts."""
    places = dict(detector=detector, pose=int8_pose, folder=tmp_path)
    options = ['--detector', detector, '--pose', int8_pose]
    options += [option, value.format(**places)]
    with pytest.raises(AssertionError, match=words.format(**places)):
        run(script, pictures[0], *options)
    assert not list(tmp_path.iterdir())


def test_without_a_detector(script, pictures, pose, tmp_path):
    """The whole image is the box of one person."""
    model, file = pose
    inferencer = PoseInferencer(model, detector='whole_image', flip_test=False)
    [expected] = inferencer(pictures[:1])
    out = tmp_path / 'a.json'
    run(script, pictures[0], '--pose', file, '--json', out)
    [found] = json.loads(out.read_text())
    assert np.shape(found['keypoints']) == (1, 17, 2)
    apart = np.abs(found['keypoints'] - expected.keypoints).max(-1)
    assert (apart <= 0.05).mean() >= 0.99, apart.max()


def test_a_file_in_int8(script, detector, pictures, int8_pose, tmp_path):
    """Its metadata is that of the file in float32."""
    out = tmp_path / 'a.json'
    options = ['--detector', detector, '--pose', int8_pose, '--json', out]
    run(script, pictures[0], *options)
    [found] = json.loads(out.read_text())
    assert np.shape(found['keypoints'])[1:] == (17, 2)

"""Odd pictures, boxes and options given to the inferencer."""

import contextlib
import io
import os
import traceback
from pathlib import Path

import cv2
import numpy as np

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

from mmpose.apis import MMPoseInferencer  # isort: skip

IMAGE = '@SHARED@/data/real/coco/000000000785.jpg'


def attempt(name, function):
    buffer = io.StringIO()
    streams = contextlib.ExitStack()
    with streams:
        streams.enter_context(contextlib.redirect_stdout(buffer))
        streams.enter_context(contextlib.redirect_stderr(buffer))
        try:
            result = f'no error: {str(function())[:250]}'
        except BaseException as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            result = f'{type(error).__name__}: {str(error)[:300]!r}'
            result += f' at {frame.filename}:{frame.lineno}'
    told = [line[:160] for line in buffer.getvalue().splitlines()]
    told = [line for line in told if 'WARN' in line.upper()][:2]
    print(f'[9] {name}: {result} {told or ""}', flush=True)


def pictures():
    """Write odd pictures; return their paths by name."""
    os.makedirs('img/empty_folder', exist_ok=True)
    whole = Path(IMAGE).read_bytes()
    for name, content in {
        'html.jpg': b'<html>404</html>' * 50,
        'empty.jpg': b'',
        'cut.jpg': whole[: len(whole) // 3],
        'text.txt': b'no picture',
    }.items():
        Path('img', name).write_bytes(content)
    cv2.imwrite('img/one.png', np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite('img/long.png', np.zeros((20, 2000, 3), np.uint8))
    Path('img/bild ä.jpg').write_bytes(whole)
    Path('img/a_file').touch()


def main():
    pictures()
    inferencer = MMPoseInferencer(
        pose2d='cfg/tiny.py',
        pose2d_weights='wd/a/epoch_4.pth',
        det_model='whole_image',
    )

    def infer(what, **options):
        people = next(inferencer(what, **options))['predictions'][0]
        keypoint = [round(v, 1) for v in people[0]['keypoints'][0]]
        return len(people), keypoint, f'box {list(people[0]["bbox"][0])}'

    for name, what in {
        'HTML as jpg': 'img/html.jpg',
        'empty file': 'img/empty.jpg',
        'truncated JPEG': 'img/cut.jpg',
        'empty folder': 'img/empty_folder',
        'missing file': 'img/nope.jpg',
        'text file': 'img/text.txt',
        '1x1': 'img/one.png',
        '20x2000': 'img/long.png',
        'unicode path': 'img/bild ä.jpg',
        'gray array': np.zeros((100, 100), np.uint8),
        'RGBA array': np.zeros((100, 100, 4), np.uint8),
        'uint16 array': np.zeros((100, 100, 3), np.uint16),
        'float array with NaN': np.full((100, 100, 3), np.nan),
        'empty array': np.zeros((0, 0, 3), np.uint8),
        'None': None,
    }.items():
        attempt(name, lambda what=what: infer(what))
    for name, options in {
        'boxes beside a detector': dict(bboxes=[[0, 0, 100, 100]]),
        'boxes of size zero': dict(bboxes=[[5, 5, 5, 5]]),
        'boxes of NaN': dict(bboxes=[[float('nan')] * 4]),
        'unknown option': dict(kpt_th=0.5),
        'folder of pictures is a file': dict(vis_out_dir='img/a_file'),
    }.items():
        attempt(name, lambda options=options: infer(IMAGE, **options))
    attempt('unknown model', lambda: MMPoseInferencer(pose2d='gtpt-t'))


if __name__ == '__main__':
    main()

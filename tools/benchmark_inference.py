"""Time PoseInferencer beside mmpose's own MMPoseInferencer.

    python tools/benchmark_inference.py ../shared/data/sets/coco_mini \
        --runtime torch auto --detector yolox_nano.onnx

Measures the way from image files to keypoints. Both get the same files, flip
test and random weights, and the same boxes: from the annotations, or from the
same detector, whose time counts for both. Each runs in its own process; for
every model the two take turns. Stock mmpose gets only the repairs that it
needs to be imported and to use the given boxes; it predicts one person after
the other. The script also draws a clip with six people in each frame.
"""

import argparse
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
BODY = 'configs/body_2d_keypoint'
#: Models of the table: config and whether it needs boxes.
MODELS = {
    'GTPT-T': (f'{BODY}/gtpt/coco/gtpt-t_4xb64-300e_coco-256x192.py', True),
    'GTPT-S whole body': (
        'configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
        'gtpt-s_4xb64-300e_coco-wholebody-256x192.py',
        True,
    ),
    'ViTPose-S': (
        f'{BODY}/vitpose/coco/td-hm_vitpose-s_8xb64-210e_coco-256x192.py',
        True,
    ),
    'HEViTPose-T': (
        f'{BODY}/hevitpose/coco/td-hm_hevitpose-t_2xb32-210e_coco-256x192.py',
        True,
    ),
    'Group Pose res18, 96x144': (
        f'{BODY}/group_pose/sample/'
        'group-pose_res18_1xb8-20e_sample-coco-96x144.py',
        False,
    ),
}
STOCK, OURS = 'MMPoseInferencer', 'PoseInferencer'


# ------------------------------------------------------------------- pictures


def read_set(folder: Path, limit: int) -> dict:
    """Return the paths of the pictures of a set with people, and boxes."""
    content = json.loads((folder / 'val.json').read_text())
    boxes: dict[int, list] = {}
    for person in content['annotations']:
        x, y, w, h = person['bbox']
        if person['num_keypoints'] and w > 1 and h > 1:
            boxes.setdefault(person['image_id'], []).append(
                [x, y, x + w, y + h]
            )
    chosen = [i for i in content['images'] if i['id'] in boxes][:limit]
    return dict(
        images=[str(folder / 'images' / i['file_name']) for i in chosen],
        boxes=[boxes[i['id']] for i in chosen],
    )


def draw_clip(folder: Path, num_frames: int) -> dict:
    """Draw six people in each frame; return paths of frames, and boxes."""
    import cv2

    from pose_samples.scene import Setting, draw_scene

    sizes = ((640, 480),)
    setting = Setting(
        sizes=(sizes, sizes),
        crowd=(0, 0, 0, 0, 0, 1),
        height=((0.5, 0.8), (0.4, 0.7)),
        occlude=0,
    )
    clip: dict = dict(images=[], boxes=[])
    for frame in range(num_frames):
        rng = np.random.default_rng(frame)
        image, labels, _ = draw_scene(rng, setting)
        path = folder / f'{frame:03}.png'
        cv2.imwrite(str(path), image)
        corners = [label.box() for label in labels]
        clip['images'].append(str(path))
        clip['boxes'].append([[x, y, x + w, y + h] for x, y, w, h in corners])
    return clip


# ----------------------------------------------------------- the two processes


def work(side: str, threads: int) -> None:
    """Time one model after the other, as lines on stdin ask for it."""
    answers = os.fdopen(os.dup(1), 'w')
    with contextlib.redirect_stdout(sys.stderr):
        if side == STOCK:
            restrict_repairs()
        import torch

        import gtpt_mm  # noqa: F401

        torch.set_num_threads(threads)
        for line in sys.stdin:
            seconds = measure(side, **json.loads(line))
            print(json.dumps(seconds), file=answers, flush=True)


def restrict_repairs() -> None:
    """Import gtpt_mm with only the repairs that mmpose needs here."""
    package = ModuleType('gtpt_mm')
    package.__path__ = [str(ROOT / 'gtpt_mm')]
    sys.modules['gtpt_mm'] = package
    compat = importlib.import_module('gtpt_mm.compat')
    compat.SHIMS = {
        'stack': compat.SHIMS['stack'],
        'inference': ('inferencer_boxes',),
    }
    compat.install(importlib.import_module('gtpt_mm.ops'))
    del sys.modules['gtpt_mm']


def measure(side: str, clip: dict, clock: str, **job: object) -> float:
    """Return the seconds for the pictures of a clip, with reading them."""
    run = (prepare_stock if side == STOCK else prepare_ours)(**job)
    boxes = [np.array(b, np.float32) for b in clip['boxes']]
    files = clip['images']
    run(files[:1], boxes[:1])  # builds and exports
    now = time.process_time if clock == 'cpu' else time.perf_counter
    start = now()
    num = run(files, boxes)
    seconds = now() - start
    if num != len(files):
        raise RuntimeError(f'{num} results of {len(files)} images')
    return seconds


def read_job(config: str, flip_test: bool, needs_boxes: bool) -> 'Config':
    """Seed torch, for equal weights; return the config of a model."""
    import torch
    from mmengine.config import Config

    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / config)
    cfg.model.test_cfg.flip_test = flip_test and needs_boxes
    return cfg


def prepare_stock(
    config: str,
    needs_boxes: bool,
    flip_test: bool,
    device: str,
    detector: str,
    runtime: str,
) -> Callable[[list, list], int]:
    """Return a call of mmpose: files and boxes to the number of results."""
    import cv2
    from mmpose.apis import MMPoseInferencer

    from gtpt_mm.apis.detectors import make_detector

    inferencer = MMPoseInferencer(
        pose2d=read_job(config, flip_test, needs_boxes),
        det_model='whole_image' if needs_boxes else None,
        device=device,
    )
    if not needs_boxes:
        return lambda files, boxes: sum(1 for _ in inferencer(files))
    if not detector:
        return lambda files, boxes: sum(
            1 for _ in inferencer(files, bboxes=boxes)
        )
    find = make_detector(detector, device=device)

    def detect_first(files: list, boxes: list) -> int:
        num = 0
        for file in files:
            image = cv2.imread(file)
            [(found, _)] = find([image])
            if len(found):  # else stock mmpose would take the whole image
                list(inferencer([image], bboxes=[found]))
            num += 1
        return num

    return detect_first


def prepare_ours(
    config: str,
    needs_boxes: bool,
    flip_test: bool,
    device: str,
    detector: str,
    runtime: str,
) -> Callable[[list, list], int]:
    """Return a call of gtpt_mm: files and boxes to the number of results."""
    from gtpt_mm.apis import PoseInferencer

    inferencer = PoseInferencer(
        read_job(config, flip_test, needs_boxes),
        detector=detector if needs_boxes and detector else 'auto',
        weights='random',
        device=device,
        runtime=runtime,
    )
    if needs_boxes and not detector:
        return lambda files, boxes: sum(
            1 for _ in inferencer(files, boxes=boxes)
        )
    return lambda files, boxes: sum(1 for _ in inferencer(files))


@contextlib.contextmanager
def start(side: str, threads: int) -> Iterator[subprocess.Popen]:
    """Start the process of one side."""
    environment = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, (str(ROOT), os.environ.get('PYTHONPATH')))
    )
    process = subprocess.Popen(
        [sys.executable, __file__, '--work', side, '--threads', str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait()


def ask(process: subprocess.Popen, **job: object) -> float:
    """Return the seconds that a process measures."""
    process.stdin.write(json.dumps(job) + '\n')
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError(f'{process.args[3]} failed with {job["config"]}')
    return json.loads(answer)


# ---------------------------------------------------------------------- table


def format_row(
    model: str, runtime: str, clip: dict, stock: float, ours: float
) -> str:
    """Return a row of the table."""
    num = len(clip['images'])
    cells = [
        model,
        runtime,
        f'{num / stock:.2f}',
        f'{num / ours:.2f}',
        f'{1000 * stock / num:.1f}',
        f'{1000 * ours / num:.1f}',
        f'{stock / ours:.2f}',
    ]
    return f'| {" | ".join(cells)} |'


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'folder', type=Path, nargs='?', help='set with val.json and images/'
    )
    parser.add_argument('--limit', type=int, default=12, help='pictures')
    parser.add_argument('--frames', type=int, default=6, help='of the clip')
    parser.add_argument('--repeats', type=int, default=2)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--clock',
        choices=['wall', 'cpu'],
        default='wall',
        help='cpu: processor time, for a busy machine and one thread',
    )
    parser.add_argument('--no-flip', action='store_true')
    parser.add_argument(
        '--runtime',
        nargs='+',
        default=['torch'],
        choices=['torch', 'onnxruntime', 'openvino', 'auto'],
        help='of PoseInferencer, one row for each; mmpose has torch',
    )
    parser.add_argument(
        '--detector',
        default='',
        help='finds the people in the pictures of the set, for both: a name '
        'or file as for PoseInferencer (default: boxes of the annotations)',
    )
    parser.add_argument('--no-clip', action='store_true', help='the set only')
    parser.add_argument('--models', nargs='*', default=list(MODELS))
    parser.add_argument('--work', help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print a table for each clip."""
    args = read_arguments()
    if args.work:
        work(args.work, args.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        clips = {}
        if not args.no_clip:
            clips['six people a frame'] = draw_clip(Path(folder), args.frames)
        if args.folder:
            clips[args.folder.name] = read_set(args.folder, args.limit)
        with (
            start(STOCK, args.threads) as stock,
            start(OURS, args.threads) as ours,
        ):
            for name, clip in clips.items():
                is_set = args.folder and name == args.folder.name
                detector = args.detector if is_set else ''
                compare(name, clip, detector, stock, ours, args)


def compare(
    name: str,
    clip: dict,
    detector: str,
    stock: subprocess.Popen,
    ours: subprocess.Popen,
    args: argparse.Namespace,
) -> None:
    """Print the table of one clip: the best of all repeats."""
    people = sum(map(len, clip['boxes']))
    flip = 'off' if args.no_flip else 'as in the config'
    source = f'found by {Path(detector).name}' if detector else 'given'
    print(
        f'\n{name}: {len(clip["images"])} pictures, {people} people, boxes '
        f'{source}; {args.device}, {args.threads} threads, {args.clock} time, '
        f'flip test {flip}\n\n'
        '| model | runtime | pictures/s, MMPoseInferencer | pictures/s, '
        'PoseInferencer | ms a picture, MMPoseInferencer | ms a picture, '
        'PoseInferencer | ratio |\n'
        '|---|---|---|---|---|---|---|',
        flush=True,
    )
    for model in args.models:
        config, needs_boxes = MODELS[model]
        job = dict(
            config=config,
            clip=clip,
            needs_boxes=needs_boxes,
            flip_test=not args.no_flip,
            device=args.device,
            clock=args.clock,
            detector=detector,
        )
        times: dict[str, list[float]] = {}
        for _ in range(args.repeats):
            for side in (STOCK, *args.runtime):
                process = stock if side == STOCK else ours
                runtime = 'torch' if side == STOCK else side
                seconds = ask(process, runtime=runtime, **job)
                times.setdefault(side, []).append(seconds)
        base = min(times.pop(STOCK))
        for runtime, seconds in times.items():
            row = format_row(model, runtime, clip, base, min(seconds))
            print(row, flush=True)


if __name__ == '__main__':
    main()

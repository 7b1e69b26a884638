"""Time PoseInferencer beside mmpose's own MMPoseInferencer.

    python tools/benchmark_inference.py ../shared/data/sets/coco_mini

Both get the same pictures and boxes (those of the annotations), the same flip
test and random weights. They run in processes of their own, model by model in
turn. Stock mmpose has only the repairs without which it cannot be imported,
and the one that makes it use the boxes that it is given; it predicts one
person after the other. A clip with six people in each frame is drawn.
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
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

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
    """Import gtpt_mm with the repairs that mmpose cannot do without."""
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


def measure(
    side: str,
    config: str,
    clip: dict,
    needs_boxes: bool,
    flip_test: bool,
    device: str,
    clock: str,
) -> float:
    """Return the seconds that the pictures of a clip take; none are read."""
    import cv2
    from mmengine.config import Config

    cfg = Config.fromfile(ROOT / config)
    cfg.model.test_cfg.flip_test = flip_test and needs_boxes
    images = [cv2.imread(path) for path in clip['images']]
    boxes = [np.array(b, np.float32) for b in clip['boxes']]
    options: dict = {}
    if side == STOCK:
        from mmpose.apis import MMPoseInferencer

        detector = 'whole_image' if needs_boxes else None
        inferencer = MMPoseInferencer(
            pose2d=cfg, det_model=detector, device=device
        )
        options = dict(bboxes=boxes) if needs_boxes else {}
    else:
        from gtpt_mm.apis import PoseInferencer

        inferencer = PoseInferencer(cfg, weights='random', device=device)
        options = dict(boxes=boxes) if needs_boxes else {}
    one = {name: value[:1] for name, value in options.items()}
    for _ in inferencer(images[:1], **one):
        """Build and warm up."""
    now = time.process_time if clock == 'cpu' else time.perf_counter
    start = now()
    num = sum(1 for _ in inferencer(images, **options))
    seconds = now() - start
    if num != len(images):
        raise RuntimeError(f'{num} results of {len(images)} images')
    return seconds


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


def format_row(model: str, clip: dict, stock: float, ours: float) -> str:
    """Return a row of the table."""
    people = sum(map(len, clip['boxes']))
    cells = [
        model,
        f'{1000 * stock / people:.1f}',
        f'{1000 * ours / people:.1f}',
        f'{len(clip["images"]) / ours:.2f}',
        f'{people / ours:.1f}',
        f'{stock / ours:.2f}',
    ]
    return f'| {" | ".join(cells)} |'


def main() -> None:
    """Measure and print a table for each clip."""
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
    parser.add_argument('--models', nargs='*', default=list(MODELS))
    parser.add_argument('--work', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        clips = {'six people a frame': draw_clip(Path(folder), args.frames)}
        if args.folder:
            clips[args.folder.name] = read_set(args.folder, args.limit)
        with (
            start(STOCK, args.threads) as stock,
            start(OURS, args.threads) as ours,
        ):
            for name, clip in clips.items():
                compare(name, clip, stock, ours, args)


def compare(
    name: str,
    clip: dict,
    stock: subprocess.Popen,
    ours: subprocess.Popen,
    args: argparse.Namespace,
) -> None:
    """Print the table of one clip: the best of all repeats."""
    people = sum(map(len, clip['boxes']))
    flip = 'off' if args.no_flip else 'as in the config'
    print(
        f'\n{name}: {len(clip["images"])} pictures, {people} people; '
        f'{args.device}, {args.threads} threads, {args.clock} time, flip test '
        f'{flip}\n\n'
        '| model | ms a person, MMPoseInferencer | ms a person, '
        'PoseInferencer | pictures/s | people/s | ratio |\n'
        '|---|---|---|---|---|---|',
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
        )
        times = [
            (ask(stock, **job), ask(ours, **job)) for _ in range(args.repeats)
        ]
        best = [min(side) for side in zip(*times, strict=True)]
        print(format_row(model, clip, *best), flush=True)


if __name__ == '__main__':
    main()

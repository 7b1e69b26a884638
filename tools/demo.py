"""``make demo``: train GTPT-T on drawn people, test it, draw its results.

Everything goes through stock mmpose: ``mim train``, ``mim test`` and
``MMPoseInferencer``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parents[1]
CONFIG = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)
WORK_DIR = Path('work_dirs/demo')
#: Not data/sample, which docs/data.md leaves to the user.
DATA = Path('data/demo')
#: One dataset for the demo and its tests, the same on every machine.
NUM_TRAIN, NUM_VAL, SEED = 2000, 200, 0


def say(text: str) -> None:
    """Print a line that stands out from the training log."""
    print(f'\n=== {text}', flush=True)


def run_tool(args: list[str], log: Path) -> str:
    """Run a command, show its progress lines, keep the whole log."""
    env = dict(os.environ, PYTHONWARNINGS='ignore')
    lines = []
    with log.open('w', encoding='utf-8') as file:
        process = subprocess.Popen(
            args,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
            env=env,
        )
        for line in process.stdout:
            file.write(line)
            lines.append(line)
            if 'Epoch(train)' in line or 'coco/AP:' in line:
                print(line.split('INFO - ')[-1].rstrip()[:110], flush=True)
    if process.wait() != 0:
        print(''.join(lines[-25:]))
        raise SystemExit(f'failed: {" ".join(args)}; the log is {log}')
    return ''.join(lines)


def make_data() -> None:
    """Draw the sample data, unless they are there."""
    from pose_samples import generate

    say(f'sample data: {NUM_TRAIN} + {NUM_VAL} images in {DATA}')
    generate(
        DATA,
        layouts=['coco'],
        num_train=NUM_TRAIN,
        num_val=NUM_VAL,
        seed=SEED,
        difficulty='easy',
        max_people=1,
    )


def train(epochs: int | None) -> Path:
    """Train through ``mim``; continue an interrupted run."""
    say(f'training: mim train mmpose {CONFIG}')
    if (WORK_DIR / 'last_checkpoint').exists():
        print(
            f'{WORK_DIR} holds a run: going on with it, or testing it again '
            'if it is complete; delete the folder to train again'
        )
    command = [sys.executable, '-m', 'mim', 'train', 'mmpose', CONFIG]
    command += ['--work-dir', str(WORK_DIR), '--resume']
    if epochs is not None:
        command += ['--cfg-options', f'train_cfg.max_epochs={epochs}']
    run_tool(command, WORK_DIR / 'train.log')
    newest = (WORK_DIR / 'last_checkpoint').read_text().strip()
    return WORK_DIR / Path(newest).name


def test(checkpoint: Path, boxes: str, *options: str) -> dict[str, float]:
    """Test through ``mim`` and return the metrics."""
    arguments = ['test', 'mmpose', CONFIG, '--checkpoint', str(checkpoint)]
    arguments += options
    say(f'testing with {boxes} boxes: mim {" ".join(arguments)}')
    metrics_dir = WORK_DIR / f'test_{boxes}'
    command = [sys.executable, '-m', 'mim', *arguments]
    command += ['--work-dir', str(metrics_dir)]
    run_tool(command, WORK_DIR / f'test_{boxes}.log')
    newest = max(metrics_dir.glob('*/*.json'), key=os.path.getmtime)
    return json.loads(newest.read_text())


def draw(checkpoint: Path, images: list[str], num_samples: int = 8) -> None:
    """Draw predictions, kept tokens and the training curve."""
    import numpy as np

    from gtpt_mm.visualization import (
        crop_instances,
        draw_tokens,
        plot_training,
    )

    # After gtpt_mm, which repairs what mmpose needs.
    from mmpose.apis import inference_topdown, init_model  # isort: skip
    from mmpose.apis.inferencers import MMPoseInferencer  # isort: skip
    from mmpose.registry import VISUALIZERS  # isort: skip
    from mmpose.structures import merge_data_samples  # isort: skip

    say(f'pictures in {WORK_DIR}')
    plot_training(WORK_DIR, WORK_DIR / 'training.png')
    model = init_model(CONFIG, str(checkpoint), device='cpu')
    visualizer = VISUALIZERS.build(
        dict(type='PoseLocalVisualizer', name='demo', radius=2)
    )
    visualizer.set_dataset_meta(model.dataset_meta)
    coco = json.loads(
        (DATA / 'coco/annotations/person_keypoints_val2017.json').read_text()
    )
    out_dir = WORK_DIR / 'predictions'
    out_dir.mkdir(exist_ok=True)
    for info in coco['images'][:num_samples]:
        img = cv2.imread(str(DATA / 'coco/val2017' / info['file_name']))
        boxes = np.array(
            [
                a['bbox']
                for a in coco['annotations']
                if a['image_id'] == info['id'] and a['num_keypoints'] >= 6
            ]
        ).reshape(-1, 4)
        if not len(boxes):
            continue
        boxes[:, 2:] += boxes[:, :2]
        sample = merge_data_samples(inference_topdown(model, img, boxes))
        visualizer.add_datasample(
            'prediction',
            img[..., ::-1],
            sample,
            draw_gt=False,
            out_file=str(out_dir / info['file_name']),
        )
        pruning = draw_tokens(model, crop_instances(model, img, boxes[:2]))
        cv2.imwrite(str(WORK_DIR / f'pruning_{info["file_name"]}'), pruning)
    if images:
        # Without a detector, the person is taken to fill the picture.
        inferencer = MMPoseInferencer(
            pose2d=CONFIG,
            pose2d_weights=str(checkpoint),
            det_model='whole_image',
            device='cpu',
        )
        for i, path in enumerate(images):
            own_dir = WORK_DIR / 'own' / str(i)  # names may repeat
            next(inferencer(path, vis_out_dir=str(own_dir)))
            cv2.imwrite(
                str(own_dir / 'pruning.jpg'),
                draw_tokens(model, crop_instances(model, cv2.imread(path))),
            )


def main() -> None:
    """Run the whole demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', nargs='*', default=[], help='your images')
    parser.add_argument('--epochs', type=int, help='train shorter or longer')
    args = parser.parse_args()
    warnings.filterwarnings('ignore')
    # On a busy machine, threads that wait by spinning take many times as long.
    # torch reads this when it is imported, here and in child processes.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    bad = [path for path in args.images if cv2.imread(path) is None]
    if bad:
        raise SystemExit(f'OpenCV cannot read as an image: {", ".join(bad)}')
    images = [str(Path(path).resolve()) for path in args.images]
    os.chdir(ROOT)
    WORK_DIR.mkdir(parents=True, exist_ok=True)

    start = time.time()
    make_data()
    drawn = time.time()
    checkpoint = train(args.epochs)
    trained = time.time()
    annotated = 'test_dataloader.dataset.bbox_file=None'
    metrics = {
        'detector': test(checkpoint, 'detector'),
        'annotated': test(checkpoint, 'annotated', '--cfg-options', annotated),
    }
    draw(checkpoint, images)

    say('summary')
    print(f'sample data  {drawn - start:6.0f} s   {DATA}')
    print(f'training     {trained - drawn:6.0f} s   {checkpoint}')
    for boxes, values in metrics.items():
        print(
            f'AP {values["coco/AP"]:.3f}   AR {values["coco/AR"]:.3f}   '
            f'with {boxes} boxes'
        )
    print(f'predictions  {WORK_DIR}/predictions/')
    print(f'kept tokens  {WORK_DIR}/pruning_*.jpg')
    print(f'curve        {WORK_DIR}/training.png')
    if images:
        print(f'your images  {WORK_DIR}/own/')


if __name__ == '__main__':
    main()

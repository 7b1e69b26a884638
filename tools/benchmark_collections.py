"""Measure the cost per picture of a large collection and the gain of workers.

    python tools/benchmark_collections.py stages          # ms a picture
    python tools/benchmark_collections.py storage         # bytes a picture
    python tools/benchmark_collections.py lists           # seconds a list
    python tools/benchmark_collections.py shards          # 1 and 2 processes
    python tools/benchmark_collections.py ray --num 1280  # 1 and 2 workers

Uses drawn JPEG pictures of 640x480 with two people in each, random weights and
one thread per process. Processor time does not depend on other work of the
machine. Wall-clock time does: runs with 1 and 2 workers therefore alternate.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIZE = (640, 480)


def draw(folder: Path, num: int) -> Path:
    """Write ``num`` pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(num):
        noise = rng.integers(0, 256, (48, 64, 3), np.uint8)
        picture = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f'{number:06}.jpg'), picture)
    return folder


def two_people(image: np.ndarray) -> np.ndarray:
    """Replace the detector, whose time is measured separately."""
    h, w = image.shape[:2]
    return np.array([[0, 0, w / 2, h], [w / 2, 0, w, h]])


def make_inferencer(model: str):
    """Return an inferencer without flip test, on one thread."""
    import torch

    from gtpt_mm.apis import PoseInferencer

    torch.set_num_threads(1)
    return PoseInferencer(
        model, two_people, 'cpu', weights='random', flip_test=False
    )


def time_stages(args: argparse.Namespace) -> None:
    """Print processor time of each stage."""
    import pyarrow as pa

    from gtpt_mm.apis.collections.stages import DetectStage, PoseStage, decode
    from gtpt_mm.apis.collections.table import (
        describe_skeleton,
        make_schema,
        to_results,
    )
    from gtpt_mm.apis.detectors import make_detector

    inferencer = make_inferencer(args.model)
    skeleton = inferencer.predictor.skeleton
    facts = dict(skeleton=describe_skeleton(skeleton))
    pose = PoseStage(inferencer, make_schema(facts))
    detect = DetectStage(make_detector(two_people))
    costly = DetectStage(make_detector(args.detector, weights='random'))
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(map(str, draw(Path(folder), args.num).iterdir()))
        table = pa.table(dict(path=paths))
        spent = dict.fromkeys(['decode', args.detector, args.model], 0.0)

        def call(name, function, value):
            start = time.process_time()
            found = function(value)
            spent[name] += time.process_time() - start
            return found

        pose(detect(next(decode(table.slice(0, 8)))))  # warm
        results = []
        for pixels in call('decode', lambda t: list(decode(t)), table):
            call(args.detector, costly, pixels)
            people = call(args.model, pose, detect(pixels))
            results += to_results(people, skeleton)
        spent['write'] = time_writing(results, Path(folder, 'a'), facts)
    for name, seconds in spent.items():
        print(f'{name:12} {1000 * seconds / args.num:8.2f} ms a picture')


def time_writing(results: list, path: Path, facts: dict) -> float:
    """Return processor seconds to write results."""
    from gtpt_mm.apis.collections.table import write_table

    start = time.process_time()
    with write_table(path, facts) as writer:
        for result in results * 20:
            writer.write(result)
    return (time.process_time() - start) / 20


def measure_storage(args: argparse.Namespace) -> None:
    """Print bytes of a picture in a file, by the number of people."""
    from gtpt_mm.apis import PoseResult, Skeleton
    from gtpt_mm.apis.collections.table import describe_skeleton, write_table
    from gtpt_mm.apis.results import Frame

    rng = np.random.default_rng(0)
    for keypoints in (17, 133):
        skeleton = Skeleton(tuple(f'point {i}' for i in range(keypoints)))
        facts = dict(skeleton=describe_skeleton(skeleton))
        for num in (0, 1, 2, 5):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, 'a.parquet')
                with write_table(path, facts) as writer:
                    for index in range(args.num):
                        center = rng.uniform(100, 500, (num, 1, 2))
                        pose = rng.normal(0, 50, (num, keypoints, 2))
                        writer.write(
                            PoseResult(
                                center + pose,
                                rng.uniform(size=(num, keypoints)),
                                rng.uniform(0, 640, (num, 4)),
                                rng.uniform(size=num),
                                skeleton,
                                Frame(None, f'photos/2026/{index:012}.jpg'),
                            )
                        )
                size = path.stat().st_size / args.num
            print(f'{keypoints} keypoints, {num} people: {size:.0f} bytes')


def time_lists(args: argparse.Namespace) -> None:
    """Print how long a process takes to find its part of a list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from gtpt_mm.apis.collections.sources import Collection

    num = 1_000_000
    names = [f'/data/photos/2026/{i:012}.jpg' for i in range(num)]
    with tempfile.TemporaryDirectory() as folder:
        text, rows = Path(folder, 'a.txt'), Path(folder, 'a.parquet')
        text.write_text('\n'.join(names))
        pq.write_table(pa.table(dict(path=names)), rows, row_group_size=10_000)
        for path in (text, rows):
            start = time.perf_counter()
            collection = Collection(path)
            middle = time.perf_counter()
            found = list(collection.names(num // 2, num // 2 + 1000))
            end = time.perf_counter()
            if found[0] != names[num // 2]:
                raise ValueError(f'{path}: {found[0]} is not the middle')
            print(
                f'{path.suffix}: {middle - start:.2f} s to count {num:,} '
                f'pictures, {end - middle:.2f} s to find 1,000 of them'
            )


WORKER = """
import sys, time
sys.path.insert(0, sys.argv[4])
from tools.benchmark_collections import draw, make_inferencer
from gtpt_mm.apis import predict_shards
inferencer = make_inferencer(sys.argv[5])
inferencer.predictor.build()
print('ready', flush=True)
input()
start, cpu = time.perf_counter(), time.process_time()
for report in predict_shards(inferencer, *sys.argv[1:4]):
    print(report.summary.images, time.perf_counter() - start,
          time.process_time() - cpu)
"""


def time_shards(args: argparse.Namespace) -> None:
    """Print pictures a second of 1 and 2 processes, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = draw(Path(folder, 'pictures'), args.num)
        for turn, count in enumerate((1, 2) * args.turns):
            out = Path(folder, f'out-{turn}')
            workers = [
                subprocess.Popen(
                    [sys.executable, '-c', WORKER, pictures, out]
                    + [f'{index}/{count}', ROOT, args.model],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for index in range(count)
            ]
            for worker in workers:
                # mmengine's log goes to stdout as well.
                if 'ready\n' not in worker.stdout:
                    raise RuntimeError('a worker ended before it was ready')
            for worker in workers:
                worker.stdin.write('\n')
                worker.stdin.flush()
            texts = [worker.communicate()[0] for worker in workers]
            rows = [text.splitlines()[-1].split() for text in texts]
            numbers = np.array(rows, float)
            report(count, numbers[:, 0].sum(), *numbers[:, 1:].T)


def report(
    count: int, images: float, seconds: np.ndarray, cpu: np.ndarray
) -> None:
    """Print a line for a number of workers."""
    print(
        f'{count} workers: {images / seconds.max():.2f} pictures/s by the '
        f'clock, {images / cpu.sum():.2f} for each second of a processor '
        f'({os.getloadavg()[0]:.1f} processes wanted {os.cpu_count()} CPUs)'
    )


def time_ray(args: argparse.Namespace) -> None:
    """Print pictures a second of 1 and 2 pose workers, in turn."""
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    os.environ['RAY_AUTH_MODE'] = 'disabled'  # no token in the home folder
    import ray

    from gtpt_mm import load_model

    model = load_model(args.model, 'random', 'cpu')
    with (
        tempfile.TemporaryDirectory(prefix='ray-') as temporary,
        tempfile.TemporaryDirectory() as folder,
    ):
        pictures = draw(Path(folder), args.num)
        ray.init(
            num_cpus=5,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=2**30,
            log_to_driver=False,
            _temp_dir=temporary,
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            for count in (1, 2) * args.turns:
                run_on_ray(pictures, model, count)
        finally:
            ray.shutdown()


def run_on_ray(pictures: Path, model, count: int) -> None:
    """Print pictures a second of some pose workers, once they run.

    Pictures that are ready when the first result arrives count as well: with
    256 the figures were higher than with 1280 by half to two thirds.
    """
    from gtpt_mm.apis import predict_dataset

    found = predict_dataset(
        pictures,
        model,
        two_people,
        dict(decode=1, detect=1, pose=count),
        batch_size=16,
        flip_test=False,
    )
    times = []
    for batch in found.iter_batches(batch_size=None):
        times.append((time.perf_counter(), len(batch['source'])))
    if len(times) < 2:
        raise ValueError('all results came at once; ask for more: --num 256')
    seconds = times[-1][0] - times[0][0]
    images = sum(num for _, num in times[1:])
    print(
        f'{count} workers: {images / seconds:.2f} pictures/s by the clock '
        f'after the first; {os.getloadavg()[0]:.1f} processes wanted '
        f'{os.cpu_count()} CPUs'
    )


ACTIONS = dict(
    stages=time_stages,
    storage=measure_storage,
    lists=time_lists,
    shards=time_shards,
    ray=time_ray,
)


def main() -> None:
    """Run the measurement that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('action', choices=ACTIONS)
    parser.add_argument('--model', default='gtpt-t')
    parser.add_argument('--detector', default='rtmdet')
    parser.add_argument('--num', type=int, default=64)
    parser.add_argument('--turns', type=int, default=2)
    args = parser.parse_args()
    ACTIONS[args.action](args)


if __name__ == '__main__':
    main()

"""Predict a folder on a local Ray cluster, and kill workers in the middle.

usage: predict_on_ray.py PICTURES OUT TEMPORARY

TEMPORARY is a short path for Ray's own files. In OUT are afterwards the
``results``, and an empty file for each worker that lived or was killed.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

# Other processes take memory, too: Ray would end its workers.
os.environ['RAY_memory_monitor_refresh_ms'] = '0'  # noqa: SIM112
os.environ['RAY_AUTH_MODE'] = 'disabled'  # no token in the home folder

import ray
from support.collection import make_inferencer, two_halves

from gtpt_mm.apis import predict_dataset

LIVED = 40


class DyingDetector:
    """``two_halves``; the first process kills itself after 40 pictures."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.num_seen = 0

    def __call__(self, image):
        (self.out / f'detector-{os.getpid()}').touch()
        self.num_seen += 1
        if self.num_seen > LIVED and not (self.out / 'dead').exists():
            (self.out / 'dead').touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return two_halves(image)


def kill_pose_worker(out: Path) -> None:
    """Kill a worker of the pose model once the detector has died."""
    while (
        not (workers := find_workers('PoseStage'))
        or not (out / 'dead').exists()
    ):
        time.sleep(0.05)
    (out / f'killed-{workers[0]}-of-{len(workers)}').touch()
    os.kill(workers[0], signal.SIGKILL)


def find_workers(stage: str) -> list[int]:
    """Return the workers of the cluster of this process that run a stage."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            name = (folder / 'cmdline').read_bytes()
            is_worker = name.startswith(b'ray::') and stage.encode() in name
            if is_worker and parent(parent(folder.name)) == os.getpid():
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended
    return found


def parent(pid: int | str) -> int:
    stat = Path(f'/proc/{pid}/stat').read_text()
    return int(stat.rpartition(')')[2].split()[1])


def main(pictures: str, out: str, temporary: str) -> None:
    folder = Path(out)
    folder.mkdir()
    ray.init(
        num_cpus=4,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
        _temp_dir=temporary,
    )
    killer = threading.Thread(
        target=kill_pose_worker, args=[folder], daemon=True
    )
    killer.start()
    try:
        found = predict_dataset(
            pictures,
            make_inferencer().predictor._arguments['model'],
            DyingDetector(folder),
            concurrency=dict(decode=1, detect=1, pose=2),
            batch_size=4,
        )
        found.write_parquet(str(folder / 'results'))
        print(found.stats())
    finally:
        ray.shutdown()


if __name__ == '__main__':
    # Workers import this file by its name, not as __main__.
    main(*sys.argv[1:])

"""Try every model config of the installed mmpose.

    PYTHONPATH=. python -m projects.zoo.run --out work_dirs/zoo.json
    PYTHONPATH=. python -m projects.zoo.run --out work_dirs/zoo.json --export
    PYTHONPATH=. python -m projects.zoo.table work_dirs/zoo.json

A worker tries configs one after another. If a config hangs or crashes, its
worker ends but not the run. Results in the file are kept, so the second
command only exports; ``--again TEXT`` repeats configs with TEXT in their name
or in a result.
"""

import argparse
import json
import os
import re
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = Path(find_spec('mmpose').origin).parent / '.mim'
STAGES = ('predict', 'train')
#: Longer side of an image, in pixels, from which a config comes last.
LARGE_IMAGE = 400
#: Configs, and bytes of memory, after which a worker is replaced.
MOST_CONFIGS = 100
MOST_MEMORY = 4 * 2**30


class Pool:
    """One worker at a time, replaced when it is old, large, stuck or dead.

    Args:
        command: Starts a worker.
        limit: Seconds that a config may take.
        log: File for what workers print.
    """

    def __init__(self, command: list[str], limit: float, log: Path) -> None:
        self.command = command
        self.limit = limit
        self.log = log
        self.worker: subprocess.Popen | None = None
        self.served = 0
        self.end = 0.0

    def start(self) -> subprocess.Popen:
        """Return a worker that waits for a config."""
        if self.worker is None:
            environment = os.environ | dict(
                PYTHONPATH=f'{ROOT}{os.pathsep}'
                + os.environ.get('PYTHONPATH', '')
            )
            with open(self.log, 'a') as log:
                self.worker = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=CONFIGS,
                    env=environment,
                )
            self.served = 0
        return self.worker

    def stop(self) -> None:
        """Kill the worker."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.communicate()
            self.worker = None

    def ask(self, name: str, stages: list[str]) -> list[dict]:
        """Return the records of a config's stages.

        After a hang or crash, the last record names it in ``result`` under the
        stage that was not reported.
        """
        worker = self.start()
        task = json.dumps(dict(name=name, stages=stages)) + '\n'
        worker.stdin.write(task.encode())
        worker.stdin.flush()
        self.end = time.monotonic() + self.limit
        records: list[dict] = []
        for line in self.read_lines():
            record = json.loads(line)
            if record.get('ready'):  # the imports are not the config's
                self.end = time.monotonic() + self.limit
            elif record.get('done'):
                self.served += 1
                if (
                    self.served >= MOST_CONFIGS
                    or record['memory'] > MOST_MEMORY
                ):
                    self.stop()
                return records
            else:
                records.append(record)
        if time.monotonic() >= self.end:
            result = f'hang: not finished within {self.limit:.0f} seconds'
        else:
            result = f'crash: the process ended with {worker.wait()}'
        self.stop()
        left = ['build', *stages][len(records)]
        facts = records[-1] if records else {}
        return [*records, facts | dict(stage=left, result=result, seconds=0)]

    def read_lines(self) -> Iterator[bytes]:
        """Yield lines of the worker until it ends or the time is over."""
        descriptor = self.worker.stdout.fileno()
        text = b''
        while (left := self.end - time.monotonic()) > 0:
            if not select.select([descriptor], [], [], left)[0]:
                return
            part = os.read(descriptor, 65536)
            if not part:
                return
            text += part
            *lines, text = text.split(b'\n')
            yield from lines


def list_configs() -> list[str]:
    """Return the paths of all model configs, sorted."""
    paths = (CONFIGS / 'configs').rglob('*.py')
    names = (path.relative_to(CONFIGS).as_posix() for path in paths)
    return sorted(name for name in names if '/_base_/' not in name)


def merge(results: dict, name: str, records: list[dict]) -> None:
    """Add the records of a config to the results."""
    entry = results.setdefault(name, dict(stages={}, seconds={}))
    for record in records:
        facts = dict(record)
        stage = facts.pop('stage')
        entry['stages'][stage] = facts.pop('result')
        entry['seconds'][stage] = facts.pop('seconds')
        entry.update(facts)


def copy_exports(results: dict) -> None:
    """Give configs of equal networks the result of the one exported."""
    first: dict[str, str] = {}
    for name, entry in results.items():
        if 'export' in entry['stages'] and 'same_as' not in entry:
            first.setdefault(entry.get('network'), name)
    for entry in results.values():
        source = first.get(entry.get('network'))
        if 'export' not in entry['stages'] and source:
            entry['same_as'] = source
            entry['stages']['export'] = results[source]['stages']['export']


def plan(results: dict, names: list[str], export: bool) -> list[tuple]:
    """Return the remaining tasks as (name, stages).

    Configs of equal networks, apart from the number of keypoints, are
    exported once, those of many configs first.
    """
    tasks = [(n, list(STAGES)) for n in in_order(names) if n not in results]
    if not export or tasks:
        return tasks
    uses = Counter(results[n].get('network') for n in names)
    seen, left = set(), []
    for name in names:
        entry = results[name]
        key = entry.get('network')
        if entry['stages']['build'] != 'ok' or key in seen:
            continue
        seen.add(key)
        if 'export' not in entry['stages']:
            left.append((name, ['export']))
    return sorted(left, key=lambda task: -uses[results[task[0]]['network']])


def in_order(names: list[str]) -> list[str]:
    """Return names so that each kind of network comes early.

    Configs of an algorithm that differ in their dataset follow later, and
    those of large images, which take longest, last.
    """
    counts: Counter = Counter()
    ranks = {}
    for name in names:
        path = Path(name)
        size = path.stem.rpartition('-')[2]
        key = (*path.parts[1:3], *path.stem.split('_')[:2], size)
        lengths = [int(n) for n in re.findall(r'\d+', size)]
        is_large = max(lengths, default=0) >= LARGE_IMAGE
        ranks[name] = is_large, counts[key]
        counts[key] += 1
    return sorted(names, key=lambda name: (ranks[name], name))


def save(results: dict, file: Path) -> None:
    """Write the results, sorted by name, one config a line."""
    copy_exports(results)
    # Not by atomic_write, whose package takes seconds to import.
    part = file.with_suffix('.part')
    lines = (
        f'{json.dumps(name)}: {json.dumps(entry)}'
        for name, entry in sorted(results.items())
    )
    part.write_text('{\n' + ',\n'.join(lines) + '\n}\n')
    os.replace(part, file)


def main() -> None:
    """Try the remaining configs; write the file after each one."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='JSON file')
    parser.add_argument('--export', action='store_true')
    parser.add_argument('--only', default='', help='text in the names')
    parser.add_argument('--again', help='text in names or results')
    parser.add_argument('--limit', type=float, default=300, help='seconds')
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.again:
        results = {
            name: entry
            for name, entry in results.items()
            if args.again not in name + json.dumps(entry['stages'])
        }
    names = [name for name in list_configs() if args.only in name]
    command = [sys.executable, '-m', 'projects.zoo.worker']
    pool = Pool(command, args.limit, args.out.with_suffix('.log'))
    try:
        while tasks := plan(results, names, args.export):
            for count, (name, stages) in enumerate(tasks, 1):
                records = pool.ask(name, stages)
                merge(results, name, records)
                save(results, args.out)
                said = {r['stage']: r['result'] for r in records}
                print(f'{count}/{len(tasks)} {name} {said}', flush=True)
    finally:
        pool.stop()


if __name__ == '__main__':
    main()

"""Measure all figures of docs/benchmarks.md, and write its tables.

    make benchmark                                # all, 35 minutes
    python tools/make_benchmarks.py --only runtimes int8   # some runs

Each run is one call of ``gtpt-mm benchmark`` or of a script in its own
process, one after the other, with one thread and processor time. Its figures
are kept in ``--work``. A table is written between its markers in the page if
all its runs are available; the rest of the page is hand-written and stays.
``--quick`` replaces large models by small ones, to test this script.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark_tables import TABLES, Result, describe_run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs/benchmarks.md'
#: Name of the picture, in the folder of the runs and in the page's assets.
PICTURE = 'accuracy_latency.png'
#: --quick uses these in place of every model and of the settings.
QUICK_MODEL = 'gtpt-t_1xb16-14e_sample-96x64'
QUICK = ('--repeats', '1', '--warmup', '0')
QUICK_MODELS = 2


@dataclass(frozen=True)
class Run:
    """One call of ``gtpt-mm benchmark``.

    Attributes:
        models: Label: the model and its changes, as they are typed.
        options: All options except those of the clock.
        draws: Whether it draws :data:`PICTURE`.
    """

    models: dict[str, str]
    options: str
    draws: bool = False

    def command(self, quick: bool) -> list[str]:
        """Return the arguments behind ``gtpt-mm``."""
        words = ['benchmark']
        models = list(self.models.items())
        for label, model in models[: QUICK_MODELS if quick else None]:
            typed = QUICK_MODEL if quick else model
            words += [*typed.split(), f'label={label}']
        words += ['--threads', '1', '--clock', 'cpu', *self.options.split()]
        return [*words, *(QUICK if quick else ())]


@dataclass(frozen=True)
class Script:
    """One call of a script that prints Markdown, on pictures of :data:`SET`.

    Attributes:
        words: The script and its arguments.
        quick: Arguments added for --quick.
    """

    words: str
    quick: str = ''

    def command(self, quick: bool) -> list[str]:
        """Return the arguments behind ``python``."""
        return f'{self.words} {self.quick if quick else ""}'.split()


RES50 = 'td-hm_res50_8xb64-210e_coco-256x192'
GTPT_S = 'gtpt-s-wholebody'
UNPRUNED = 'model.backbone.keep_rates=[1,1,1,1]'
RTMPOSE = 'rtmpose-{}_8xb256-420e_coco-256x192'
STRIDE8 = 'td-hm_vitpose-b-stride8{}_8xb64-210e_coco-256x192'
#: Photographs with annotations; not part of this repository.
SET = '../shared/data/sets/coco_mini'
FILES = '--runtime torch onnxruntime openvino --fuse'
RUNS: dict[str, Run | Script] = {
    'runtimes': Run(
        {
            **{f'RTMPose-{s}': RTMPOSE.format(s) for s in 'tsm'},
            **{f'GTPT-{s.upper()}': f'gtpt-{s}' for s in 'tsb'},
            'HEViTPose-T': 'hevitpose-t-256x192',
            'HEViTPose-B': 'hevitpose-b-256x192',
            'ViTPose-S': 'vitpose-s',
            'whole body: RTMPose-m': (
                'rtmpose-m_8xb64-270e_coco-wholebody-256x192'
            ),
            'whole body: GTPT-T': 'gtpt-t-wholebody',
            'whole body: GTPT-S': GTPT_S,
        },
        f'{FILES} --batch-sizes 1 8 --repeats 3 --warmup 0',
        draws=True,
    ),
    # The ratio is near 1, so that a few calls do not show on which side.
    'batches': Run(
        {
            **{f'GTPT-{s.upper()}': f'gtpt-{s}' for s in 'tsb'},
            'whole body: GTPT-T': 'gtpt-t-wholebody',
            'whole body: GTPT-S': GTPT_S,
        },
        '--runtime onnxruntime --batch-sizes 1 8 --repeats 40 --warmup 2',
    ),
    'int8': Run(
        {
            'GTPT-T': 'gtpt-t',
            'HEViTPose-T': 'hevitpose-t-256x192',
            'ViTPose-S': 'vitpose-s',
            'whole body: GTPT-S': GTPT_S,
        },
        '--runtime onnxruntime openvino --precision fp32 int8 '
        '--batch-sizes 1 --repeats 9 --warmup 0',
    ),
    'vitpose': Run(
        {
            'ViTPose-B, gtpt_mm': 'vitpose-b',
            'ViTPose-B, mmpose': 'td-hm_ViTPose-base_8xb64-210e_coco-256x192',
            'VitPose-B, Hugging Face': 'hf:vitpose-base',
            'ViTPose++-B, gtpt_mm, six heads': 'vitpose-plus-b',
            'VitPose-plus-B, Hugging Face, one head': 'hf:vitpose-plus-base',
        },
        '--runtime torch onnxruntime --batch-sizes 1 8 --repeats 4 --warmup 0',
    ),
    'vitpose_training': Run(
        {
            'ViTPose-B, gtpt_mm': 'vitpose-b',
            'ViTPose-B, mmpose': 'td-hm_ViTPose-base_8xb64-210e_coco-256x192',
            'ViTPose++-B, as the official code': 'vitpose-plus-b',
            'ViTPose++-B, own samples only': (
                'vitpose-plus-b model.head.own_samples_only=True'
            ),
        },
        '--batch-sizes 1 --train 12 --repeats 3 --warmup 0',
    ),
    'windows': Run(
        {
            'full': STRIDE8.format(''),
            '8 x 8': STRIDE8.format('-win8'),
            '8 x 8, shifted and pooled': STRIDE8.format('-win8-shift-pool'),
            '8 x 8, every third layer global': STRIDE8.format('-win8-global'),
        },
        '--batch-sizes 1 --train 2 --repeats 2 --warmup 0',
    ),
    'gtpt': Run(
        {'ResNet-50': RES50, 'GTPT-S whole body': GTPT_S},
        '--batch-sizes 8 --train 8 --fuse --repeats 4 --warmup 0',
    ),
    'pruning': Run(
        {'pruned': GTPT_S, 'unpruned': f'{GTPT_S} {UNPRUNED}'},
        '--runtime torch onnxruntime --batch-sizes 1 8 --repeats 5 --warmup 0',
    ),
    'hevitpose': Run(
        {
            'HRNet-W32': 'td-hm_hrnet-w32_8xb64-210e_coco-256x192',
            'ResNet-50': RES50,
            'PVTv2-B2': 'td-hm_pvtv2-b2_8xb64-210e_coco-256x192',
            'Swin-T': 'td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192',
            **{
                f'HEViTPose-{s.upper()}': f'hevitpose-{s}-256x192'
                for s in 'tsb'
            },
        },
        '--batch-sizes 1 8 --fuse --repeats 3 --warmup 0',
    ),
    'group_pose': Run(
        {
            'ED-Pose, mmpose': (
                'projects/group_pose_peers/networks/edpose-res50.py'
            ),
            'ED-Pose, operator of gtpt_mm': (
                'projects/group_pose_peers/networks/edpose-res50_row-gather.py'
            ),
            'Group Pose, gtpt_mm': 'group-pose-r50',
        },
        '--runtime torch onnxruntime --fuse --input-size 800 480 '
        '--batch-sizes 1 --repeats 2 --warmup 0',
    ),
    'loader': Script(
        '-m gtpt_mm benchmark gtpt-t label=GTPT vitpose-b label=ViTPose '
        'hevitpose-b-256x192 label=HEViTPose group-pose-r50 label=GroupPose '
        f'--loader {SET}/val.json --clock cpu --threads 1 '
        '--repeats 5',
        '--repeats 1',
    ),
    'end_to_end': Script(
        f'tools/benchmark_inference.py {SET} --no-clip --limit 3 '
        '--runtime torch auto --repeats 2 --clock cpu',
        '--models GTPT-T --runtime torch --limit 1 --repeats 1',
    ),
}


def execute(name: str, work: Path, quick: bool, commit: str = '') -> None:
    """Run one of the runs; its figures are in ``work`` afterwards.

    Raises:
        RuntimeError: If it fails; the message names the log.
    """
    run = RUNS[name]
    words = run.command(quick)
    log = work / f'{name}.log'
    out = work / f'{name}.json.part'
    if isinstance(run, Script):
        call = [sys.executable, *words]
    else:
        call = [sys.executable, '-m', 'gtpt_mm', *words, '--json', str(out)]
        call.append('--overwrite')
        if run.draws and not quick:  # the small models have no accuracy
            call += ['--plot-accuracy', str(work / PICTURE)]
    environment = {
        'OMP_WAIT_POLICY': 'PASSIVE',
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': os.pathsep.join(
            filter(None, (str(ROOT), os.environ.get('PYTHONPATH')))
        ),
    }
    with log.open('w') as stderr:
        done = subprocess.run(
            call, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=stderr,
        )  # fmt: skip
    is_complete = done.returncode == 0
    # Exit code 1: a model did not run; the tables name it.
    if not is_complete and (isinstance(run, Script) or not out.is_file()):
        raise RuntimeError(f'{name} failed, see {log}')
    if out.is_file():
        content = json.loads(out.read_text())
        out.unlink()
    else:
        content = dict(text=done.stdout, machine=read_machine(environment))
    shown = ['python' if isinstance(run, Script) else 'gtpt-mm', *words]
    content['command'] = shown
    content['date'] = time.strftime('%Y-%m-%d')
    content['commit'] = commit
    (work / f'{name}.json').write_text(json.dumps(content, indent=1) + '\n')


def read_machine(environment: dict[str, str]) -> dict[str, Any]:
    """Return the machine and versions as a process of a run sees them."""
    code = """
import json
from gtpt_mm.benchmark.machine import describe_machine
print(json.dumps(describe_machine(packages=['onnxruntime', 'openvino'])))
"""
    done = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def find_commit() -> str:
    """Return the commit that is measured, '-dirty' if code was changed."""
    done = subprocess.run(
        ['git', 'describe', '--always', '--dirty', '--exclude=*'],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip() or 'unknown'


def read_results(work: Path) -> dict[str, Result]:
    """Return the results of all runs that were made."""
    paths = {name: work / f'{name}.json' for name in RUNS}
    return {
        name: Result(json.loads(path.read_text()))
        for name, path in paths.items()
        if path.is_file()
    }


def write_page(page: Path, results: dict[str, Result]) -> list[str]:
    """Write the tables whose results are available; return their names.

    Raises:
        ValueError: If the page lacks the markers of a table.
    """
    text = page.read_text(encoding='utf-8')
    written = []
    for name, (needed, write) in TABLES.items():
        start, end = f'<!-- table: {name} -->', f'<!-- end: {name} -->'
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f'{page} must have {start} and {end} once')
        if not set(needed) <= set(results):
            continue
        runs = [describe_run(results[run]) for run in needed]
        body = '\n\n'.join([write(results), *runs])
        before, _, rest = text.partition(start)
        text = f'{before}{start}\n\n{body}\n\n{end}{rest.partition(end)[2]}'
        written.append(name)
    page.write_text(text, encoding='utf-8')
    return written


def main(argv: Sequence[str] | None = None) -> None:
    """Make the runs, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--only', nargs='*', choices=list(RUNS), help='runs (default: all)')
    add('--quick', action='store_true', help='small models, to test this')
    add('--page', type=Path, default=PAGE, help='page to write')
    add('--work', type=Path, default=ROOT / 'work_dirs/benchmarks')
    args = parser.parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    commit = find_commit()
    failed = []
    for name in list(RUNS) if args.only is None else args.only:
        if isinstance(RUNS[name], Script) and not (ROOT / SET).is_dir():
            print(f'{name}: left out, there is no {SET}')
            continue
        print(f'{name} ...', end=' ', flush=True)
        start = time.perf_counter()
        try:
            execute(name, args.work, args.quick, commit)
        except RuntimeError as error:
            failed.append(str(error))
        print(f'{time.perf_counter() - start:.0f} s', flush=True)
    written = write_page(args.page, read_results(args.work))
    if (args.work / PICTURE).is_file():
        (args.page.parent / 'assets').mkdir(exist_ok=True)
        shutil.copy(args.work / PICTURE, args.page.parent / 'assets')
    print(f'wrote {", ".join(written) or "nothing"} in {args.page}')
    if failed:
        raise SystemExit('\n'.join(failed))


if __name__ == '__main__':
    main()

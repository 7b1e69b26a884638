"""``make gpu-check``: test and time gtpt_mm on a CUDA machine in 8 minutes.

    python tools/gpu_check.py                        # on a CUDA machine
    python tools/gpu_check.py --device cpu --quick   # a trial of this script

Each part runs in a process of its own with a time limit. A part that fails
or takes too long is reported and does not stop the others. The folder of
``--out`` gets ``gpu_check.json``, ``gpu_check.md`` and a log of each part.
Nothing is downloaded: weights are random, training data is drawn.
"""

import argparse
import copy
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    'part', 'model', 'batch', 'dtype', 'mode', 'ms', 'images_per_second',
    'peak_mib', 'result',
)  # fmt: skip
BODY = 'configs/body_2d_keypoint'
#: Recipe that is trained for each family.
FAMILIES = {
    'gtpt': f'{BODY}/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py',
    'hevitpose': f'{BODY}/hevitpose/sample/'
    'td-hm_hevitpose-t_1xb16-6e_sample-coco-128x96.py',
    'vitpose': f'{BODY}/vitpose/sample/'
    'td-hm_vitpose-s_1xb16-14e_sample-96x64.py',
    'vitpose-plus': 'configs/multi_dataset/vitpose_plus/sample/'
    'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py',
    'group-pose': f'{BODY}/group_pose/sample/'
    'group-pose_res18_1xb8-20e_sample-coco-96x144.py',
}
UNPRUNED = 'model.backbone.keep_rates=[1,1,1,1]'
EDPOSE = 'projects/group_pose_peers/networks/edpose-res50.py'
RTMPOSE = 'rtmpose-{}_8xb256-420e_coco-256x192'
RTMPOSE_WHOLEBODY = 'rtmpose-m_8xb64-270e_coco-wholebody-256x192'


@dataclass(frozen=True)
class Settings:
    """Settings that all parts share.

    Attributes:
        device: ``'cuda'`` or ``'cpu'``.
        quick: Whether to run a small part of everything.
        out: Folder of results, data and logs.
    """

    device: str
    quick: bool
    out: Path

    @property
    def dtypes(self) -> list[str]:
        """Types of weights and activations in inference."""
        return ['fp32'] if self.quick else ['fp32', 'bf16', 'fp16']


class Rows:
    """Lines of the table, written one by one, so a stopped part keeps some."""

    def __init__(self, part: str, file: Path) -> None:
        self.part, self.file = part, file

    def add(self, model: str, **cells: Any) -> None:
        """Write a line; cells are named as ``COLUMNS``."""
        row = dict(part=self.part, model=model, result='ok') | cells
        unknown = set(row) - set(COLUMNS)
        if unknown:
            raise KeyError(f'no column for {sorted(unknown)}')
        with self.file.open('a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')

    @contextmanager
    def attempt(self, model: str, **cells: Any) -> Iterator[None]:
        """Turn an error into a line of the table."""
        try:
            yield
        except Exception as error:  # whatever a compiler or kernel raises
            reason = ' '.join(str(error).split())[:160]
            reason = f'failed: {type(error).__name__}: {reason}'
            self.add(model, **cells, result=reason)
            print(reason, file=sys.stderr, flush=True)


# ------------------------------------------------------------ in the processes


def start(settings: Settings, rows: Rows) -> None:
    """Describe the machine; draw data for all trainings."""
    import torch

    from gtpt_mm.benchmark import describe_machine
    from pose_samples import generate

    if settings.device == 'cuda' and not torch.cuda.is_available():
        raise SystemExit(
            f'PyTorch {torch.__version__} sees no CUDA device; a trial on a '
            'CPU: --device cpu --quick'
        )
    machine = json.dumps(describe_machine(settings.device))
    (settings.out / 'machine.json').write_text(machine, encoding='utf-8')
    data = settings.out / 'data'
    names = ['coco', 'coco-wholebody', 'mpii', 'aic', 'ap10k', 'apt36k']
    result = generate(
        data / 'sample',
        names,
        num_train=6 if settings.quick else 64,
        num_val=1,
        difficulty='easy',
        max_people=1,
        image_size=(144, 192),
        workers=1 if settings.quick else min(8, os.cpu_count() or 1),
        overwrite=True,
    )
    for folder in ('demo', 'group_pose'):  # other recipes' names for it
        if not (data / folder).exists():
            (data / folder).symlink_to('sample')
    rows.add(
        'drawn data', result=f'{sum(r.num_images for r in result)} images'
    )


def run_tests(settings: Settings, rows: Rows) -> None:
    """Run the tests that need a GPU; elsewhere they are skipped."""
    files = [
        str(path)
        for path in sorted((ROOT / 'tests').rglob('test_*.py'))
        if 'torch.cuda.is_available()' in path.read_text(encoding='utf-8')
    ]
    command = [sys.executable, '-m', 'pytest', '-q', '-m', '', *files]
    command += ['-k', 'cuda or gpu', '-p', 'no:cacheprovider']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    lines = done.stdout.strip().splitlines() or ['no output']
    for line in lines:
        if line.startswith(('FAILED', 'ERROR')):
            rows.add(line[:160], result='failed')
    is_good = done.returncode == 0
    rows.add('pytest', result=('' if is_good else 'failed: ') + lines[-1])


class Watch:
    """Times and losses of a training: a hook of mmengine's Runner.

    Made by :meth:`hook`, since this file does not import mmengine at once.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.times: list[float] = []

    def hook(self) -> Any:
        """Return the hook that fills the two lists."""
        from mmengine.hooks import Hook

        watch = self

        class WatchHook(Hook):
            priority = 'VERY_LOW'

            def after_train_iter(
                self,
                runner: Any,
                batch_idx: int,
                data_batch: Any = None,
                outputs: dict | None = None,
            ) -> None:
                # Reading the loss waits for the GPU.
                watch.losses.append((outputs or {})['loss'].item())
                watch.times.append(time.perf_counter())

        return WatchHook()

    def cells(self, batch: int) -> dict[str, Any]:
        """Return the cells of the table; only the second half is timed."""
        if not all(map(math.isfinite, self.losses)):
            raise ValueError(f'losses are not finite: {self.losses}')
        half = len(self.times) // 2
        steps = [b - a for a, b in zip(self.times, self.times[1:])]  # noqa: B905
        seconds = sorted(steps[half:] or steps)[
            len(steps[half:] or steps) // 2
        ]
        return dict(
            batch=batch,
            ms=1e3 * seconds,
            images_per_second=batch / seconds,
            result=f'{len(self.losses)} steps, loss '
            f'{self.losses[0]:.4g} to {self.losses[-1]:.4g}',
        )


def training_config(
    family: str, dtype: str, compiled: bool, settings: Settings
) -> Any:
    """Return the recipe of a family for a few steps without validation."""
    from mmengine.config import Config

    cfg = Config.fromfile(ROOT / FAMILIES[family])
    name = f'{family}_{dtype}{"_compiled" if compiled else ""}'
    cfg.work_dir = str(settings.out / 'runs' / name)
    cfg.experiment_name = cfg.visualizer.name = name
    steps = 3 if settings.quick else 30
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)
    for kind in ('val', 'test'):
        for key in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{kind}_{key}'] = None
    cfg.param_scheduler = None
    cfg.default_hooks.checkpoint = None
    cfg.log_processor.by_epoch = False
    loader = cfg.train_dataloader
    if settings.quick:
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    if dtype != 'fp32':
        full = dict(bf16='bfloat16', fp16='float16')[dtype]
        cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype=full)
    if compiled:
        cfg.compile = dict(dynamic=False)
    return cfg


def train(family: str, settings: Settings, rows: Rows) -> None:
    """Train in each type, without and with ``torch.compile``."""
    import torch
    from mmengine.runner import Runner

    import gtpt_mm  # noqa: F401  (repairs what mmpose needs)

    os.chdir(settings.out)  # recipes read data/...
    on_gpu = settings.device == 'cuda'
    modes = [False] if settings.quick else [False, True]
    # mmengine trains in half precision on accelerators only.
    dtypes = ['fp32', 'bf16', 'fp16'] if on_gpu else ['fp32']
    for compiled in modes:
        for dtype in dtypes:
            cells = dict(dtype=dtype, mode='compiled' if compiled else 'eager')
            with rows.attempt(family, **cells):
                torch.manual_seed(0)
                cfg = training_config(family, dtype, compiled, settings)
                runner, watch = Runner.from_cfg(cfg), Watch()
                runner.register_hook(watch.hook())
                if on_gpu:
                    torch.cuda.reset_peak_memory_stats()
                runner.train()
                cells |= watch.cells(cfg.train_dataloader.batch_size)
                if on_gpu:
                    peak = torch.cuda.max_memory_allocated()
                    cells |= dict(peak_mib=peak / 2**20)
                rows.add(family, **cells)


def load(words: Sequence[str], rows: Rows, **options: Any) -> list[Any]:
    """Return the networks of a benchmark; those that fail are reported."""
    import gtpt_mm  # noqa: F401  (repairs what mmpose needs)
    from gtpt_mm.benchmark import load_network, parse_models

    networks = []
    for choice in parse_models(words):
        with rows.attempt(choice.label):
            networks.append(load_network(choice, **options))
    return networks


def time_networks(
    networks: Sequence[Any],
    batch_sizes: Sequence[int],
    settings: Settings,
    rows: Rows,
    fuse: bool = True,
) -> None:
    """Write latency, throughput and memory in inference, side by side."""
    from gtpt_mm.benchmark import BenchmarkConfig, run_benchmark

    sizes = [min(size, 2) for size in batch_sizes]
    for dtype in settings.dtypes:
        config = BenchmarkConfig(
            batch_sizes=sizes if settings.quick else batch_sizes,
            precisions=[dtype],
            device=settings.device,
            repeats=1 if settings.quick else 20,
            warmup=0 if settings.quick else 5,
            time_limit=20,
            fuse=fuse and not settings.quick,
        )
        for timing in run_benchmark(networks, config).timings:
            case = timing.case
            cells = dict(batch=case.batch_size, dtype=dtype, mode=case.runtime)
            if timing.error is not None:
                rows.add(timing.model, **cells, result=timing.error)
                continue
            rows.add(
                timing.model,
                **cells,
                ms=1e3 * timing.median,
                images_per_second=timing.images_per_second,
                peak_mib=(timing.peak_bytes or 0) / 2**20,
                result=timing.note or 'ok',
            )


def table8(settings: Settings, rows: Rows) -> None:
    """GTPT's Table 8: pruned and unpruned, whole body."""
    words: list[str] = []
    for size in 't' if settings.quick else 'tsb':
        name = f'gtpt-{size}-wholebody'
        words += [name, f'label={name}', name, UNPRUNED]
        words.append(f'label={name}-unpruned')
    time_networks(load(words, rows), [1, 32], settings, rows)


def vitpose(settings: Settings, rows: Rows) -> None:
    """Throughput of ViTPose and ViTPose++."""
    words = ['vitpose-s', 'vitpose-plus-s']
    if not settings.quick:
        words += ['vitpose-b', 'vitpose-plus-b', 'vitpose-l']
    time_networks(load(words, rows), [1, 64], settings, rows)


def rtmpose(settings: Settings, rows: Rows) -> None:
    """RTMPose beside GTPT, body and whole body."""
    words = [RTMPOSE.format('s'), 'gtpt-t']
    if not settings.quick:
        words += [RTMPOSE.format('t'), RTMPOSE.format('m'), 'gtpt-s']
        words += [RTMPOSE_WHOLEBODY, 'gtpt-t-wholebody', 'gtpt-s-wholebody']
    time_networks(load(words, rows), [1, 32], settings, rows)


def group_pose(settings: Settings, rows: Rows) -> None:
    """Group Pose with each operator beside mmpose's ED-Pose."""
    from dataclasses import replace

    size = (384, 256) if settings.quick else (800, 480)
    edpose = [str(ROOT / EDPOSE), 'label=ED-Pose']
    networks = []
    for network in load(['group-pose-r50'], rows, input_size=size):
        for impl in ('grid_sample', 'row_gather'):
            model = copy.deepcopy(network.model)
            for module in model.modules():
                if type(module).__name__ == 'DeformableAttention':
                    module.impl = impl
            label = f'Group Pose, {impl}'
            networks.append(replace(network, label=label, model=model))
    networks += load(edpose, rows, input_size=size)
    time_networks(networks, [1, 4], settings, rows, fuse=False)


def graphs(settings: Settings, rows: Rows) -> None:
    """CUDA graphs of fused networks at batch 1: equality and speed-up."""
    import torch

    from gtpt_mm.deploy import fuse

    words = ['gtpt-t', 'gtpt-s-wholebody', 'hevitpose-t', 'vitpose-s']
    words += [RTMPOSE.format('s'), 'group-pose-r50']
    for word in words[:1] if settings.quick else words:
        for network in load([word], rows):
            images = network.images(1).to(settings.device)
            model = fuse(network.model).to(settings.device)

            def call(model: Any = model, images: Any = images) -> Any:
                with torch.no_grad():
                    return model(images, None, mode='tensor')

            with rows.attempt(word, mode='CUDA graph'):
                expected = tensors(call())
                write_time(rows, word, 'fused eager', call)
                if settings.device != 'cuda':
                    continue
                replay, output = capture(call)
                replay()
                for ours, other in zip(tensors(output), expected, strict=True):
                    torch.testing.assert_close(
                        ours, other, rtol=1e-3, atol=1e-4
                    )
                write_time(rows, word, 'fused CUDA graph', replay)


def tensors(output: Any) -> list[Any]:
    """Return clones of the tensors in what a network returns."""
    if hasattr(output, 'clone'):
        return [output.clone()]
    values = output.values() if isinstance(output, dict) else output
    return [tensor for item in values for tensor in tensors(item)]


def capture(call: Callable[[], Any]) -> tuple[Callable[[], Any], Any]:
    """Return the replay of a call's CUDA graph, and its output."""
    import torch

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = call()
    return graph.replay, output


def write_time(
    rows: Rows, model: str, mode: str, call: Callable[[], Any]
) -> None:
    """Write the time of a call in a loop."""
    import torch

    wait = torch.cuda.synchronize if torch.cuda.is_available() else int
    count = 100 if torch.cuda.is_available() else 1
    call()
    wait()
    begin = time.perf_counter()
    for _ in range(count):
        call()
    wait()
    seconds = (time.perf_counter() - begin) / count
    rows.add(
        model, batch=1, dtype='fp32', mode=mode, ms=1e3 * seconds,
        images_per_second=1 / seconds,
    )  # fmt: skip


# ----------------------------------------------------------------- the parts


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes:
        run: Function that its process calls.
        seconds: Its limit on a CUDA machine; a CPU has ten times as long.
        alone: Whether no other part may run meanwhile: it measures time.
    """

    run: Callable[[Settings, Rows], None]
    seconds: float
    alone: bool = True


def _train_part(family: str) -> Part:
    def run(settings: Settings, rows: Rows) -> None:
        train(family, settings, rows)

    return Part(run, 210, alone=False)


PARTS = {
    'start': Part(start, 60),
    'tests': Part(run_tests, 150, alone=False),
    **{f'train-{family}': _train_part(family) for family in FAMILIES},
    'graphs': Part(graphs, 50),
    'table8': Part(table8, 50),
    'vitpose': Part(vitpose, 50),
    'group-pose': Part(group_pose, 50),
    'rtmpose': Part(rtmpose, 50),
}


class Runs:
    """The processes of the parts, and the lines that they write.

    Args:
        settings: Settings of all.
        seconds: Time for everything; each part gets its limit or the remaining
            time.
        command: Returns the command of a part.
        limits: Limit of each part in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        seconds: float,
        command: Callable[[str], list[str]],
        limits: dict[str, float],
    ) -> None:
        self.settings, self.command, self.limits = settings, command, limits
        self.end = time.monotonic() + seconds
        self.rows: list[dict] = []
        self.failed: list[str] = []

    def run(self, names: Sequence[str]) -> None:
        """Run parts side by side; return when all have ended."""
        begin, running = time.monotonic(), {}
        env = dict(os.environ, PYTHONPATH=os.pathsep.join(
            [str(ROOT), str(ROOT / 'projects/pose_samples'),
             *filter(None, [os.environ.get('PYTHONPATH')])]
        ))  # fmt: skip
        if self.settings.device == 'cpu':
            env['CUDA_VISIBLE_DEVICES'] = '-1'
        try:
            for name in names:
                self.file(name, 'jsonl').unlink(missing_ok=True)
                with self.file(name, 'log').open('w') as log:
                    running[name] = subprocess.Popen(
                        self.command(name), cwd=ROOT, env=env, stdout=log,
                        stderr=subprocess.STDOUT, start_new_session=True,
                    )  # fmt: skip
            for name, process in running.items():
                limit = begin + self.limits[name]
                left = min(limit, self.end) - time.monotonic()
                self._wait(name, process, max(left, 0), begin)
        finally:
            for process in running.values():
                _stop(process)

    def file(self, name: str, kind: str) -> Path:
        """Return a file of a part."""
        return self.settings.out / f'{name}.{kind}'

    def _wait(
        self, name: str, process: subprocess.Popen, left: float, begin: float
    ) -> None:
        try:
            code = process.wait(left)
            result = 'ok' if code == 0 else f'failed: exit code {code}'
        except subprocess.TimeoutExpired:
            code, result = None, 'failed: out of time'
        _stop(process)
        rows = self.file(name, 'jsonl')
        lines = rows.read_text('utf-8').splitlines() if rows.exists() else []
        self.rows += map(json.loads, lines)
        seconds = time.monotonic() - begin
        result += f', after {seconds:.0f} s'
        if code not in (0, None):
            log = self.file(name, 'log').read_text('utf-8', 'replace')
            result += f': {(log.strip().splitlines() or [""])[-1][:160]}'
        self.rows.append(dict(part=name, model='(all)', result=result))
        if any(row['result'].startswith('failed') for row in self.rows
               if row['part'] == name):  # fmt: skip
            self.failed.append(name)
        print(f'{name}: {result}', flush=True)


def _stop(process: subprocess.Popen) -> None:
    """End a process that runs, and those that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def format_table(machine: dict, rows: Sequence[dict]) -> str:
    """Return the table in Markdown, under a line about the machine."""

    def cell(row: dict, column: str) -> str:
        value = row.get(column, '')
        if isinstance(value, float):
            value = f'{value:.3g}' if abs(value) < 100 else f'{value:.0f}'
        return str(value).replace('|', '/').replace('\n', ' ')

    keys = ('gpu', 'cpu', 'cuda', 'torch', 'python', 'mmpose', 'gtpt_mm')
    facts = [f'{key} {machine[key]}' for key in keys if machine.get(key)]
    lines = [
        f'# GPU check on {machine.get("gpu", "a CPU (a trial)")}',
        '',
        f'{machine.get("date", "")}: {", ".join(facts)}. Weights are random.',
        '',
        f'| {" | ".join(COLUMNS)} |',
        '|' + '---|' * len(COLUMNS),
    ]
    for row in rows:
        lines.append(f'| {" | ".join(cell(row, c) for c in COLUMNS)} |')
    return '\n'.join(lines) + '\n'


def check(runs: Runs, names: Sequence[str]) -> int:
    """Run parts, write both files; return 1 if one failed."""
    out = runs.settings.out
    out.mkdir(parents=True, exist_ok=True)
    others = [name for name in names if name != 'start']
    try:
        runs.run(['start'])
        if runs.failed:
            return 1
        side_by_side = [n for n in others if not PARTS[n].alone]
        if runs.settings.quick:  # on few cores
            for name in side_by_side:
                runs.run([name])
        elif side_by_side:
            runs.run(side_by_side)
        for name in others:
            if PARTS[name].alone:
                runs.run([name])
    finally:
        file = out / 'machine.json'
        machine = json.loads(file.read_text()) if file.exists() else {}
        machine.setdefault('system', platform.platform())
        content = dict(machine=machine, failed=runs.failed, rows=runs.rows)
        text = json.dumps(content, indent=1)
        (out / 'gpu_check.json').write_text(text + '\n', encoding='utf-8')
        table = format_table(machine, runs.rows)
        (out / 'gpu_check.md').write_text(table, encoding='utf-8')
        print(table)
    return 1 if runs.failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check, or one part in this process."""
    doc = (__doc__ or '').splitlines()[0]
    parser = argparse.ArgumentParser(description=doc)
    add = parser.add_argument
    add('--device', choices=['cuda', 'cpu'], default='cuda')
    add('--quick', action='store_true', help='little of everything')
    add('--out', type=Path, default=Path('work_dirs/gpu_check'))
    add('--minutes', type=float, help='time for all (default: 8, on a CPU 80)')
    names = [name for name in PARTS if name != 'start']
    add('--parts', nargs='+', choices=names, default=names, metavar='PART',
        help=f'some of {", ".join(names)}')  # fmt: skip
    add('--part', choices=list(PARTS), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    settings = Settings(args.device, args.quick, args.out.resolve())
    if args.part:
        rows = Rows(args.part, settings.out / f'{args.part}.jsonl')
        PARTS[args.part].run(settings, rows)
        return 0
    factor = 1 if args.device == 'cuda' else 10

    def command(name: str) -> list[str]:
        words = [sys.executable, str(Path(__file__).resolve()), '--part', name]
        words += ['--device', args.device, '--out', str(settings.out)]
        return [*words, '--quick'] if args.quick else words

    limits = {name: factor * part.seconds for name, part in PARTS.items()}
    seconds = 60 * (args.minutes or 8 * factor)
    return check(Runs(settings, seconds, command, limits), args.parts)


if __name__ == '__main__':
    raise SystemExit(main())

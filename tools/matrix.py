"""``python tools/matrix.py``: install and test every declared stack.

Each row gets an empty environment, which the two commands of docs/install.md
fill under the row's pins. ``TESTS`` are run in it, then it is deleted. A row
takes 6 GB and some ten minutes. Its result goes to docs/assets/matrix.json,
and the table of docs/install.md is written from that file; ``--rows``
continues an interrupted matrix.
"""

import argparse
import datetime
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'docs' / 'assets' / 'matrix.json'
PAGE = ROOT / 'docs' / 'install.md'
#: The part of the page that is written.
MARKS = '<!-- tools/matrix.py -->\n', '<!-- end -->\n'
#: Quick, and without optional packages: values against recordings, the repairs
#: of compat, a training, test and prediction from the wheel.
TESTS = (
    'tests/test_package.py',
    'tests/test_recordings.py',
    'tests/test_contracts.py',
    'tests/test_codecs',
    'tests/test_ops',
    'tests/test_datasets/test_pillow_resize.py',
    'tests/test_compat/test_checkpoint_files.py',
    'tests/test_compat/test_coco_metric.py',
    'tests/test_compat/test_cpu_launcher.py',
    'tests/test_compat/test_file_handlers.py',
    'tests/test_compat/test_install.py',
    'tests/test_compat/test_mmcv_ops.py',
    'tests/test_compat/test_numpy_api.py',
    'tests/test_compat/test_runner_state.py',
    'tests/test_compat/test_torch_api.py',
    'tests/test_compat/test_xtcocotools_api.py',
    'tests/test_convert/test_gtpt.py',
    'tests/test_engine/test_cosine_ema.py',
    'tests/test_engine/test_layer_decay.py',
    'tests/test_models/test_gtpt_goldens.py',
    'tests/test_models/test_vitpose_goldens.py',
    'tests/test_models/test_group_pose_goldens.py',
    'tests/test_apis/test_model_folder.py',
    'tests/test_apis/test_predictor.py',
    'tests/test_apis/test_weights.py::test_without_transformers',
    'tests/test_end_to_end/test_wheel.py',
)
#: Makes an environment.
VENV = ('-m', 'venv')
#: Packages that the tests need besides gtpt_mm.
TOOLS = ('hypothesis', 'pytest>=9', 'pytest-timeout')
#: Columns of the table: package, heading.
COLUMNS = (
    ('torch', 'torch'),
    ('torchvision', 'torchvision'),
    ('numpy', 'numpy'),
    ('mmengine', 'mmengine'),
    ('mmcv-lite', 'mmcv-lite'),
    ('mmdet', 'mmdet'),
    ('mmpose', 'mmpose'),
    ('opencv-python', 'OpenCV'),
)


@dataclass(frozen=True)
class Row:
    """A stack.

    Attributes:
        python: Version of the interpreter, ``'3.11'``.
        pins: Requirements that constrain the whole installation.
        is_constrained: Whether requirements/constraints.txt applies as well.
    """

    python: str
    pins: tuple[str, ...] = ()
    is_constrained: bool = False


ROWS = {
    'oldest': Row(
        '3.11',
        (
            *('torch==2.1.*', 'torchvision==0.16.*', 'numpy==1.26.*'),
            *('mmengine==0.10.4', 'mmcv-lite==2.0.1'),
            *('mmdet==3.2.0', 'mmpose==1.3.0'),
        ),
    ),
    'middle': Row('3.12', ('torch==2.6.*', 'torchvision==0.21.*')),
    'pinned': Row('3.11', is_constrained=True),
    'newest-3.12': Row('3.12'),
    'newest-3.13': Row('3.13'),
}


class Environment:
    """A virtual environment in a folder of its own.

    Args:
        row: The stack.
        folder: Empty folder to work in.
    """

    def __init__(self, row: Row, folder: Path) -> None:
        self.folder, self.python = folder, folder / 'env/bin/python'
        lines = [*row.pins]
        if row.is_constrained:
            path = ROOT / 'requirements/constraints.txt'
            lines += path.read_text().splitlines()
        constraints = folder / 'constraints.txt'
        constraints.write_text('\n'.join(lines) + '\n')
        self.variables = {
            **{k: v for k, v in os.environ.items() if k != 'PYTHONPATH'},
            **dict(PIP_CONSTRAINT=str(constraints), PIP_NO_CACHE_DIR='1'),
            **dict(PIP_DISABLE_PIP_VERSION_CHECK='1', OMP_NUM_THREADS='1'),
        }
        (self.folder / 'log.txt').touch()
        self._call(find_python(row.python), *VENV, folder / 'env')

    def install(self) -> None:
        """Follow docs/install.md with a new wheel; then what tests need."""
        wheels = self.folder / 'wheels'
        self.run('-m', 'pip', 'install', 'setuptools>=77.0.3,<81', 'wheel')
        for source in (ROOT, ROOT / 'projects/pose_samples'):
            self.run(
                *('-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation'),
                *('-w', wheels, source),
            )
        self.run('-m', 'pip', 'install', *sorted(wheels.glob('gtpt_mm-*')))
        self.run('-m', 'gtpt_mm', 'setup', cwd=self.folder)
        self.run('-m', 'pip', 'install', *wheels.glob('pose_s*'), *TOOLS)

    def run(self, *args: str | Path, cwd: Path = ROOT) -> str:
        """Run the interpreter of the environment; return what it printed."""
        return self._call(self.python, *args, cwd=cwd)

    def try_tests(self, tests: tuple[str, ...]) -> dict:
        """Return the numbers of tests by outcome, and the failed ones."""
        args = ['-q', '-rfE', '-p', 'no:cacheprovider', *tests]
        try:
            printed = self.run('-m', 'pytest', *args)
        except subprocess.CalledProcessError as error:
            if error.returncode != 1:  # 1: some tests failed
                tail = error.output.strip()[-200:]
                return dict(error=f'pytest: {error.returncode}: {tail}')
            printed = error.output
        return read_outcomes(printed)

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages of ``COLUMNS``."""
        lines = self.run('-m', 'pip', 'freeze').splitlines()
        found = dict(x.split('==') for x in lines if x.count('==') == 1)
        return {name: found.get(name, '') for name, _ in COLUMNS}

    def _call(self, *command: str | Path, cwd: Path = ROOT) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with open(self.folder / 'log.txt', 'a') as log:
            log.write(f'$ {" ".join(words)}\n{done.stdout}\n')
        done.check_returncode()
        return done.stdout


def find_python(version: str) -> str:
    """Return an interpreter of a version, on PATH or of pyenv.

    Raises:
        SystemExit: If there is none.
    """
    pyenv = Path.home() / '.pyenv/versions' / f'{version}.*' / 'bin/python'
    names = [shutil.which(f'python{version}'), *glob.glob(str(pyenv))]
    code = 'import sys; print("%d.%d" % sys.version_info[:2])'
    for name in filter(None, names):
        done = subprocess.run(
            [name, '-c', code], capture_output=True, text=True
        )
        if done.stdout.strip() == version:
            return name
    raise SystemExit(
        f'no Python {version}: put python{version} on PATH, or choose '
        f'other rows with --rows'
    )


def read_outcomes(printed: str) -> dict:
    """Read the summary of pytest; packages may print after it.

    Example:
        >>> read_outcomes('FAILED a.py::b - no\\n2 passed, 1 failed in 3s')
        {'passed': 2, 'failed': 1, 'skipped': 0, 'names': ['a.py::b']}

    Returns:
        ``error`` alone if there is none.
    """
    pattern = r'^=* ?(\d+ (?:passed|failed|skipped|error).*) in [\d.]+s'
    found = re.findall(pattern, printed, re.MULTILINE)
    if not found:
        return dict(error=f'no summary of pytest: {printed[-200:]!r}')
    counts = {n: int(x) for x, n in re.findall(r'(\d+) (\w+)', found[-1])}
    names = re.findall(r'^(?:FAILED|ERROR) (\S+)', printed, re.MULTILINE)
    return dict(
        passed=counts.get('passed', 0),
        failed=sum(counts.get(x, 0) for x in ('failed', 'error', 'errors')),
        skipped=counts.get('skipped', 0),
        names=names,
    )


def try_row(row: Row, tests: tuple[str, ...], scratch: Path) -> dict:
    """Install a stack and try it; the environment is deleted."""
    result = dict(
        python=row.python,
        day=datetime.date.today().isoformat(),
        commit=find_commit(),
    )
    folder = Path(tempfile.mkdtemp(prefix='matrix-', dir=scratch))
    start = time.monotonic()
    try:
        env = Environment(row, folder)
        env.install()
        result |= dict(
            install_minutes=round((time.monotonic() - start) / 60, 1),
            versions=env.versions(),
        )
        result |= env.try_tests(tests)
    except subprocess.CalledProcessError as error:
        words = ' '.join(map(str, error.cmd[1:]))
        tail = error.output.strip().splitlines()[-5:]
        result |= dict(error=f'{words}: ' + ' | '.join(tail))
    finally:
        shutil.copy(folder / 'log.txt', scratch / 'log.txt')
        shutil.rmtree(folder)
    return result | dict(minutes=round((time.monotonic() - start) / 60, 1))


def find_commit() -> str:
    """Return the commit of the clone, '' outside a repository."""
    done = subprocess.run(
        ['git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD'],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def format_table(results: dict[str, dict]) -> str:
    """Return the table of docs/install.md."""
    heads = ['stack', 'Python', *(head for _, head in COLUMNS), 'tests']
    lines = [f'| {" | ".join(heads)} |', '|' + '---|' * len(heads)]
    for name, result in results.items():
        versions = result.get('versions', {})
        cells = [name, result['python']]
        cells += [versions.get(package, '') for package, _ in COLUMNS]
        lines.append(f'| {" | ".join([*cells, format_outcome(result)])} |')
    return '\n'.join(lines)


def update_page(page: str, results: dict[str, dict]) -> str:
    """Return the text of docs/install.md with the table of the results."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    lines = f'{format_table(results)}\n'
    if missing := [f'`{name}`' for name in ROWS if name not in results]:
        lines += f'\nNot run yet: {", ".join(missing)}.\n'
    return f'{before}{MARKS[0]}{lines}{MARKS[1]}{after}'


def format_outcome(result: dict) -> str:
    """Return the last cell of a row.

    Example:
        >>> format_outcome(dict(passed=9, failed=1, skipped=0))
        '9 passed, 1 failed'
    """
    if 'error' in result:
        return 'tests crashed' if 'versions' in result else 'not installed'
    counts = {x: result[x] for x in ('passed', 'failed', 'skipped')}
    return ', '.join(f'{n} {name}' for name, n in counts.items() if n)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=[*ROWS])
    parser.add_argument('--tests', nargs='+', default=TESTS)
    parser.add_argument('--out', type=Path, default=RESULTS)
    parser.add_argument(
        '--scratch',
        type=Path,
        default=Path(tempfile.gettempdir()),
        help='folder for the environments and for log.txt of the last one',
    )
    parser.add_argument(
        '--table',
        action='store_true',
        help='run nothing; write the table of --out into docs/install.md',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Return 1 if a row fails."""
    args = parse_args(argv)
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.table:
        PAGE.write_text(update_page(PAGE.read_text(), results))
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name in args.rows:
        print(f'{name} ...', flush=True)
        results[name] = try_row(ROWS[name], tuple(args.tests), args.scratch)
        ordered = {key: results[key] for key in ROWS if key in results}
        args.out.write_text(json.dumps(ordered, indent=1) + '\n')
        if args.out == RESULTS:
            PAGE.write_text(update_page(PAGE.read_text(), results))
        row = results[name]
        print(row.get('error') or format_outcome(row), *row.get('names', []))
    failed = [n for n in args.rows if results[n].get('failed', 1)]
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())

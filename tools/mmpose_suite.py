"""Run mmpose's own tests under gtpt_mm: ``make test-mmpose MMPOSE=CHECKOUT``.

Neither the wheel nor the sdist of mmpose has its tests; they come from a
checkout of the tag of the installed version. The tests run in a folder of
links to the checkout's tests and configs and to the *installed* mmpose, which
is tested with gtpt_mm imported first. ``tests/mmpose_suite/deselected.txt``
says which tests are left out, and why.

    git clone --depth 1 --branch v1.3.2 \
        https://github.com/open-mmlab/mmpose CHECKOUT
    python tools/mmpose_suite.py CHECKOUT
    python tools/mmpose_suite.py CHECKOUT tests/test_codecs -x
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DESELECTED = ROOT / 'tests/mmpose_suite/deselected.txt'
#: What mmpose's tests read from the current folder. Its package is not among
#: them: the installed one is tested.
LINKS = (
    'tests',
    'configs',
    'demo',
    'projects',
    'dataset-index.yml',
    'model-index.yml',
)
#: Packages of its tests that gtpt_mm does not require.
PACKAGES = ('pytest', 'parameterized')


def read_deselected(file: Path = DESELECTED) -> dict[str, str]:
    """Return the tests that are left out, with the reason of each.

    A reason stands in a line that begins with ``#``, its tests below it.

    Raises:
        ValueError: If a test has no reason.
    """
    reason, tests = '', {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        line = line.strip()
        if line.startswith('#'):
            reason = line.removeprefix('#').strip()
        elif line:
            if not reason:
                raise ValueError(f'{file}:{number}: {line} has no reason')
            tests[line] = reason
        else:
            reason = ''
    return tests


def check_checkout(folder: Path) -> None:
    """Raise if a folder has no tests of the installed mmpose.

    Raises:
        ValueError: If it is not a checkout, or has another version; it names
            what is missing.
    """
    installed = version('mmpose')
    tag = f'git clone --depth 1 --branch v{installed} '
    tag += 'https://github.com/open-mmlab/mmpose'
    for name in ('tests', 'configs', 'mmpose/version.py'):
        if not (folder / name).exists():
            raise ValueError(
                f'{folder} has no {name}: name a checkout of mmpose, {tag}'
            )
    text = (folder / 'mmpose/version.py').read_text()
    found = re.search(r"__version__ = '(.+)'", text)
    if found is None or found[1] != installed:
        raise ValueError(
            f'{folder} is mmpose {found[1] if found else "?"}, but '
            f'{installed} is installed: {tag}'
        )


def make_folder(checkout: Path, folder: Path) -> None:
    """Link what the tests read, and the installed mmpose, into a folder.

    ``mmpose.testing`` looks for configs beside its package.
    """
    installed = Path(find_spec('mmpose').origin).parent
    (folder / 'mmpose').symlink_to(installed)
    for name in LINKS:
        if (checkout / name).exists():
            (folder / name).symlink_to((checkout / name).resolve())


def make_command(deselected: dict[str, str], options: list[str]) -> list[str]:
    """Return the command; ``-p gtpt_mm`` imports the repairs first."""
    command = [sys.executable, '-m', 'pytest', '-p', 'gtpt_mm']
    command += ['--rootdir', '.', '-c', os.devnull]
    command += ['-p', 'no:cacheprovider', '-q']
    for test in deselected:
        command += ['--deselect', test]
    some = any(option.startswith('tests') for option in options)
    return [*command, *options, *(() if some else ('tests',))]


def main() -> int:
    """Run the suite; the exit code is pytest's, 2 for a wrong checkout."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('checkout', type=Path)
    parser.add_argument(
        '--all', action='store_true', help='also what is deselected'
    )
    args, options = parser.parse_known_args()
    try:
        check_checkout(args.checkout)
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise ValueError(f'pip install {" ".join(missing)}')
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    path = os.pathsep.join((str(ROOT), os.environ.get('PYTHONPATH', '')))
    environment = os.environ | dict(PYTHONPATH=path, MPLBACKEND='Agg')
    with tempfile.TemporaryDirectory() as name:
        make_folder(args.checkout, Path(name))
        deselected = {} if args.all else read_deselected()
        command = make_command(deselected, options)
        return subprocess.call(command, cwd=name, env=environment)


if __name__ == '__main__':
    sys.exit(main())

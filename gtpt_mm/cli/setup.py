"""``gtpt-mm setup``: install mmcv-lite, mmdet and mmpose beside gtpt_mm.

Their own requirements are left out (``--no-deps``): chumpy, which does not
build and which nothing imports, and xtcocotools, whose wheels are for
numpy 1. gtpt_mm itself requires the rest, so torch, numpy and everything else
stay as they are. All three have wheels; nothing is compiled.
"""

import argparse
import importlib.metadata
import importlib.util
import shlex
import shutil
import subprocess
import sys

from .doctor_probes import fits
from .doctor_remedies import requirements

HELP = 'Install mmcv-lite, mmdet and mmpose, which pip cannot resolve.'
#: Packages to install unless one of a tuple is there; the bounds are those of
#: its first name.
PACKAGES = (('mmcv-lite', 'mmcv'), ('mmdet',), ('mmpose',))
OPENCV, HEADLESS = 'opencv-python', 'opencv-python-headless'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gtpt-mm setup``."""
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='print the commands and install nothing',
    )


def run(args: argparse.Namespace) -> int:
    """Install what is missing; return the exit code of ``gtpt-mm doctor``."""
    commands = [*_install_openmmlab(), *_replace_opencv()]
    for command in commands:
        print(shlex.join(command), flush=True)
        if args.dry_run:
            continue
        if code := subprocess.call(command):
            print(f'gtpt-mm setup: that failed with exit code {code}; the '
                  'lines above say why. Run it again to continue from here.',
                  file=sys.stderr)  # fmt: skip
            return 1
    # A new process: this one could not import what was missing. -P: from the
    # environment, not from the current folder.
    command = [sys.executable, '-P', '-m', 'gtpt_mm', 'doctor']
    if args.dry_run:
        print(shlex.join(command))
        return 0
    return subprocess.call(command)


def _install_openmmlab() -> list[list[str]]:
    """Return the command for the packages that are missing or do not fit."""
    specs = requirements()
    if not specs:
        raise ValueError(
            f'gtpt_mm is not installed for {sys.executable}, so the versions '
            'that it needs are unknown; pip install its wheel, or -e its clone'
        )
    wanted = []
    for names in PACKAGES:
        found = {name: v for name in names if (v := _version(name))}
        words = ' and '.join(f'{name} {v}' for name, v in found.items())
        if 'mmcv' in found:
            print(f'{words}: compiled mmcv, left as it is')
        elif found and fits(found[names[0]], names[0]):
            print(f'{words} is there')
        else:
            wanted.append(specs[names[0]])
    if not wanted:
        return []
    return [[*_find_installer(), '--no-deps', '--only-binary', ':all:',
             *wanted]]  # fmt: skip


def _replace_opencv() -> list[list[str]]:
    """Return the command for OpenCV without windows, where libGL is missing.

    Servers and containers often lack it. Both builds fill the folder cv2;
    the metadata of the first stay, since mmengine requires it by that name.
    """
    version = _version(OPENCV)
    if not version:
        return []
    done = subprocess.run(
        [sys.executable, '-P', '-c', 'import cv2'],
        stderr=subprocess.PIPE,
        text=True,
    )
    if not done.returncode or 'cannot open shared object' not in done.stderr:
        return []
    print(f'OpenCV: {done.stderr.splitlines()[-1]}')
    return [[*_find_installer(), '--no-deps', '--only-binary', ':all:',
             '--force-reinstall', f'{HEADLESS}=={version}']]  # fmt: skip


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _find_installer() -> list[str]:
    """Return the command that installs into the running environment."""
    if importlib.util.find_spec('pip'):
        return [sys.executable, '-m', 'pip', 'install']
    if uv := shutil.which('uv'):
        return [uv, 'pip', 'install', '--python', sys.executable]
    raise ValueError(
        f'{sys.executable} has no pip, and uv is not on PATH; run '
        f'`{shlex.quote(sys.executable)} -m ensurepip` first, then '
        '`gtpt-mm setup` again'
    )

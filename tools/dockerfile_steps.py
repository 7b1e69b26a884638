"""Run the steps of a Dockerfile without docker.

    python tools/dockerfile_steps.py docker/cpu.Dockerfile --python python3.12

A new folder replaces the file system of the image: it holds ``WORKDIR`` and
the files that the dockerignore lets ``COPY`` take. An empty virtual
environment replaces the Python of the base image. ``RUN`` is run without the
variables of this shell; ``apt-get`` only simulates, ``useradd`` does nothing.
At the end the start command of the image is run. This shows that the commands
work with these files and versions, not that the base image has everything they
need.
"""

import argparse
import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Instructions that are read.
KNOWN = {
    *('FROM', 'ARG', 'ENV', 'WORKDIR', 'COPY', 'RUN', 'USER'),
    *('ENTRYPOINT', 'CMD'),
}
#: Commands of the image that must not change this machine.
STANDINS = {
    'apt-get': '[ "$1" = update ] || exec /usr/bin/apt-get --simulate "$@"',
    'useradd': 'exit 0',
}
#: Makes the environment that replaces the Python of the image.
VENV = ('-m', 'venv')
#: Variables of this shell that lead to its package index.
KEPT = ('PIP_INDEX_URL', 'PIP_EXTRA_INDEX_URL', 'SSL_CERT_FILE')


def read_steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield instructions and their arguments.

    Example:
        >>> list(read_steps('# a\\nFROM x\\nRUN a \\\\\\n  && b\\n'))
        [('FROM', 'x'), ('RUN', 'a && b')]
    """
    lines = [x for x in text.splitlines() if not x.lstrip().startswith('#')]
    joined = re.sub(r'\s*\\\n\s*', ' ', '\n'.join(lines))
    for line in filter(str.strip, joined.splitlines()):
        name, _, rest = line.strip().partition(' ')
        yield name, rest.strip()


def list_copied(ignore: str, paths: list[str]) -> list[str]:
    """Return the files that a dockerignore of this project leaves.

    It ignores everything and then names exceptions.

    Example:
        >>> list_copied('*\\n!a\\n**/b', ['a/c.py', 'a/b/d.py', 'e.py'])
        ['a/c.py']
    """
    rules = [x for x in ignore.splitlines() if x and not x.startswith('#')]
    kept = [rule[1:] for rule in rules if rule.startswith('!')]
    dropped = [rule[3:] for rule in rules if rule.startswith('**/')]
    return [
        path
        for path in paths
        if any(path == x or path.startswith(f'{x}/') for x in kept)
        and not any(
            fnmatch.fnmatch(part, x)
            for part in path.split('/')
            for x in dropped
        )
    ]


class Image:
    """A folder and a Python environment in place of an image.

    Args:
        folder: Empty folder.
        python: Interpreter of the base image's version.
        args: Values of ``ARG``.
    """

    def __init__(self, folder: Path, python: str, args: dict) -> None:
        self.root, self.args = folder / 'root', args
        self.workdir = self.root
        standins = folder / 'standins'
        for path in (self.root, standins, folder / 'home'):
            path.mkdir()
        for name, body in STANDINS.items():
            (standins / name).write_text(f'#!/bin/sh\n{body}\n')
            (standins / name).chmod(0o755)
        subprocess.run([python, *VENV, folder / 'env'], check=True)
        path = f'{standins}:{folder}/env/bin:/usr/bin:/bin'
        self.variables = dict(PATH=path, HOME=str(folder / 'home'))
        self.variables |= {k: os.environ[k] for k in KEPT if k in os.environ}
        self.entry: list[str] = []

    def apply(self, name: str, rest: str, dockerfile: Path) -> str:
        """Apply an instruction; return a word that says how.

        Raises:
            CalledProcessError: If a command fails.
        """
        if name == 'RUN':
            self.run(re.sub(r'--mount=\S+\s+', '', rest))
            words = set(re.findall(r'[\w-]+', rest))
            return 'simulated' if words & set(STANDINS) else 'ran'
        if name == 'ARG':
            key, _, value = rest.partition('=')
            self.variables[key] = self.args.get(key, value.strip('"'))
        elif name == 'ENV':
            pairs = [pair.split('=', 1) for pair in shlex.split(rest)]
            self.variables |= {key: value for key, value in pairs}
        elif name == 'WORKDIR':
            self.workdir = self.root / rest.lstrip('/')
            self.workdir.mkdir(parents=True, exist_ok=True)
        elif name == 'COPY':
            return f'{self.copy(dockerfile)} files'
        elif name in ('ENTRYPOINT', 'CMD'):
            self.entry += re.findall(r'"([^"]*)"', rest)
        else:  # FROM, USER
            return 'left out'
        return 'done'

    def copy(self, dockerfile: Path) -> int:
        """Copy tracked files that are not ignored; return their number."""
        done = subprocess.run(
            ['git', 'ls-files'],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        ignore = Path(f'{dockerfile}.dockerignore').read_text()
        paths = list_copied(ignore, done.stdout.splitlines())
        for path in paths:
            target = self.workdir / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, target)
        return len(paths)

    def run(self, command: str) -> None:
        """Run a command of the shell in the image's folder."""
        subprocess.run(
            ['/bin/sh', '-c', command],
            cwd=self.workdir, env=self.variables, check=True,
        )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Return 1 if a step fails."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('dockerfile', type=Path)
    parser.add_argument('--python', default=sys.executable)
    parser.add_argument(
        '--build-arg', nargs='+', default=[], metavar='NAME=VALUE'
    )
    parser.add_argument('--scratch', type=Path, help='folder for 6 GB')
    options = parser.parse_args(argv)
    args = dict(pair.split('=', 1) for pair in options.build_arg)
    steps = [*read_steps(options.dockerfile.read_text())]
    for name in {name for name, _ in steps} - KNOWN:
        parser.error(f'{options.dockerfile}: {name} is not known here')
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        image = Image(Path(folder), options.python, args)
        try:
            for name, rest in steps:
                done = image.apply(name, rest, options.dockerfile)
                print(f'{done:>10}  {name} {rest}', flush=True)
            image.run(shlex.join(image.entry))
            print(f'{"ran":>10}  {shlex.join(image.entry)}')
        except subprocess.CalledProcessError as error:
            print(f'failed with {error.returncode}: {name} {rest}')
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

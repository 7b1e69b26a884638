"""Variants of a model, each trained through mim, and a table of the results.

A script that compares trainings adds its variants, its columns and a function
that reads a result.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mmengine.config import Config


@cache
def _max_epochs(config: Path) -> int:
    """Return how many epochs a config trains; configs are slow to read."""
    return Config.fromfile(config).train_cfg.max_epochs


@dataclass(frozen=True)
class Training:
    """One config trained with one seed.

    Attributes:
        config: Its config file.
        seed: Seed of the run.
        out: Folder of all runs of the comparison.
        root: Folder to run in; the config's paths are relative to it.
    """

    config: Path
    seed: int
    out: Path
    root: Path

    @property
    def folder(self) -> Path:
        """Absolute path of the folder that the run writes to."""
        return self.out.resolve() / f'{self.config.stem}_seed{self.seed}'

    @property
    def checkpoint(self) -> Path:
        """The file that the last epoch writes."""
        return self.folder / f'epoch_{_max_epochs(self.config)}.pth'

    def last_metrics(self, key: str) -> dict | None:
        """Return the metrics of the last epoch.

        Args:
            key: One of their names, which distinguishes them from losses.

        Returns:
            All scalars logged with it, or None if the last epoch of the
            config has not been validated.
        """
        last = None
        for path in sorted(self.folder.glob('*/vis_data/scalars.json')):
            for row in map(json.loads, path.read_text().splitlines()):
                if key in row and row['step'] == _max_epochs(self.config):
                    last = row
        return last

    def run_mim(self, command: str, *options: str, log: str) -> None:
        """Run mim on the config in a process of its own.

        The process inherits the environment. Where they are not set,
        ``OMP_NUM_THREADS`` is 1 and ``OMP_WAIT_POLICY`` PASSIVE (see
        docs/benchmarks.md); configs may import ``projects`` from
        :attr:`root`.

        Args:
            command: ``train`` or ``test``.
            options: Options after the config and the work dir.
            log: Name of the file in :attr:`folder` for the output.

        Raises:
            SystemExit: If it fails; the message names the log.
        """
        print(f'{self.folder.name}: {command}ing ...', flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / log
        python_path = [str(self.root), os.environ.get('PYTHONPATH')]
        env = {
            'OMP_NUM_THREADS': '1',
            'OMP_WAIT_POLICY': 'PASSIVE',
            **os.environ,
            'PYTHONPATH': os.pathsep.join(filter(None, python_path)),
        }
        with path.open('w') as file:
            code = subprocess.run(
                [sys.executable, '-m', 'mim', command, 'mmpose',
                 str(self.config), '--work-dir', str(self.folder), *options],
                cwd=self.root,
                env=env,
                stdout=file,
                stderr=subprocess.STDOUT,
            ).returncode  # fmt: skip
        if code:
            raise SystemExit(f'{path} ends with exit code {code}')

    def train(self, log: str = 'run.log') -> None:
        """Train in a process of its own, see :meth:`run_mim`."""
        seed = f'randomness.seed={self.seed}'
        self.run_mim('train', '--cfg-options', seed, log=log)


@dataclass(frozen=True)
class Comparison:
    """Variants trained on the same budget.

    Attributes:
        title: Difference of the variants: head of the table's first column.
        configs: Config file of each variant, in the order of the table.
        columns: Names of the figures, in order.
        read: Return the figures of a run, or None if it has not finished.
        root: Folder to run in; the configs' paths are relative to it.
        labels: Names of variants in the table, if they differ.
        digits: Decimals in the table.
        train: Run the steps of a training that are missing.
    """

    title: str
    configs: dict[str, Path]
    columns: Sequence[str]
    read: Callable[[Training], dict[str, float] | None]
    root: Path
    labels: dict[str, str] = field(default_factory=dict)
    digits: int = 2
    train: Callable[[Training], None] = Training.train

    def training(self, variant: str, seed: int, out: Path) -> Training:
        """Return the run of a variant with a seed."""
        return Training(self.configs[variant], seed, out, self.root)

    def format_table(self, out: Path, seeds: Sequence[int]) -> str:
        """Return every run that has finished as a Markdown table."""
        table = [[self.title, 'seed', *self.columns]]
        for variant in self.configs:
            for seed in seeds:
                figures = self.read(self.training(variant, seed, out))
                if figures is not None:
                    numbers = (figures[key] for key in self.columns)
                    table.append([
                        self.labels.get(variant, variant), str(seed),
                        *(f'{number:.{self.digits}f}' for number in numbers),
                    ])  # fmt: skip
        head, *rows = (f'| {" | ".join(cells)} |' for cells in table)
        return '\n'.join([head, '|' + '---|' * len(table[0]), *rows])

    def main(
        self,
        doc: str,
        out: str,
        seeds: Sequence[int],
        with_variants: bool = True,
        argv: Sequence[str] | None = None,
    ) -> None:
        """Train what is missing, one run after the other; print the table.

        Args:
            doc: Docstring of the script; ``--help`` shows its first line.
            out: Folder of the runs if ``--out`` is not given.
            seeds: Seeds if ``--seeds`` is not given.
            with_variants: Whether the command line chooses variants.
            argv: Its arguments; those of the process if None.
        """
        names = list(self.configs)
        parser = argparse.ArgumentParser(description=doc.splitlines()[0])
        add = parser.add_argument
        add('--out', type=Path, default=out)
        add('--seeds', type=int, nargs='+', default=seeds)
        if with_variants:
            add('--variants', nargs='+', choices=names, help='default: all')
        add('--table', action='store_true', help='only print what is there')
        parser.set_defaults(variants=names)
        args = parser.parse_args(argv)
        for seed in args.seeds if not args.table else ():
            for variant in args.variants:
                training = self.training(variant, seed, args.out)
                if self.read(training) is None:
                    self.train(training)
        print(self.format_table(args.out, args.seeds))

"""Variants of a model, each trained through mim, and a table of the results.

What a script that compares trainings needs besides its variants, its columns
and the reading of a result. The processes inherit the environment;
``OMP_NUM_THREADS`` is 1 where it is not set.
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
        root: Folder to run in, from which the config's paths count.
    """

    config: Path
    seed: int
    out: Path
    root: Path

    @property
    def folder(self) -> Path:
        """Where the run writes; absolute."""
        return self.out.resolve() / f'{self.config.stem}_seed{self.seed}'

    @property
    def checkpoint(self) -> Path:
        """The file that the last epoch writes."""
        return self.folder / f'epoch_{_max_epochs(self.config)}.pth'

    def last_metrics(self, key: str) -> dict | None:
        """Return the metrics of the last epoch.

        Args:
            key: One of their names; it tells them from losses.

        Returns:
            All scalars logged with it, or None if the last epoch of the
            config has not been validated.
        """
        rows = []
        for path in sorted(self.folder.glob('*/vis_data/scalars.json')):
            lines = path.read_text().splitlines()
            rows += [row for row in map(json.loads, lines) if key in row]
        if not rows:
            return None
        epoch = _max_epochs(self.config)
        last = [row for row in rows if row['step'] == epoch]
        return last[-1] if last else None

    def run_mim(self, command: str, *options: str, log: str) -> None:
        """Run mim on the config in a process of its own.

        Args:
            command: ``train`` or ``test``.
            options: What follows the config and the work dir.
            log: Name of the file in :attr:`folder` that takes the output.

        Raises:
            SystemExit: If it fails; the message names the log.
        """
        print(f'{self.folder.name}: {command}ing ...', flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / log
        with path.open('w') as file:
            code = subprocess.run(
                [sys.executable, '-m', 'mim', command, 'mmpose',
                 str(self.config), '--work-dir', str(self.folder), *options],
                cwd=self.root,
                env={'OMP_NUM_THREADS': '1', **os.environ},
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
        title: What the variants differ in: head of the table's first column.
        configs: Config file of each variant, in the order of the table.
        columns: Names of the figures, in order.
        read: Return the figures of a run, or None if it has not finished.
        root: Folder to run in, from which the configs' paths count.
        labels: Names of variants in the table, where they are others.
        digits: Decimals in the table.
        train: Do what lacks until ``read`` finds figures.
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
        lines = [
            ' | '.join([f'| {self.title} | seed', *self.columns]) + ' |',
            '|---|---|' + '---|' * len(self.columns),
        ]
        for variant in self.configs:
            label = self.labels.get(variant, variant)
            for seed in seeds:
                figures = self.read(self.training(variant, seed, out))
                if figures is not None:
                    cells = [f'| {label} | {seed}']
                    cells += [
                        f'{figures[key]:.{self.digits}f}'
                        for key in self.columns
                    ]
                    lines.append(' | '.join(cells) + ' |')
        return '\n'.join(lines)

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
        parser = argparse.ArgumentParser(description=doc.splitlines()[0])
        parser.add_argument('--out', type=Path, default=out)
        parser.add_argument('--seeds', type=int, nargs='+', default=seeds)
        if with_variants:
            parser.add_argument(
                '--variants',
                nargs='+',
                choices=list(self.configs),
                help='what to train (default: all)',
            )
        parser.add_argument(
            '--table', action='store_true', help='only print what is there'
        )
        parser.set_defaults(variants=list(self.configs))
        args = parser.parse_args(argv)
        if not args.table:
            for seed in args.seeds:
                for variant in args.variants:
                    training = self.training(variant, seed, args.out)
                    if self.read(training) is None:
                        self.train(training)
        print(self.format_table(args.out, args.seeds))

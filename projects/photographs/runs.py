"""The runs of this project: rows of one table, and claims of the papers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = Path(__file__).with_name('configs')
EPOCHS = 15
#: Learning rates that are tried for a family, for batches of 16.
RATES = (5e-4, 1.5e-3, 4.5e-3)
TUNING_EPOCHS = 8
#: A tenth of the training split: every tenth picture, 12 batches.
TENTH = list(range(0, 1900, 10))
#: The member of a family that is tuned; the others take its rate.
TUNED = {
    'gtpt': 'gtpt-t',
    'hevitpose': 'hevitpose-t',
    'vitpose': 'vitpose-tiny',
    'rtmpose': 'rtmpose-t',
    'simcc': 'simcc-res18',
    'mobilenetv2': 'mobilenetv2',
}


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        name: Name of its folder.
        config: Config file, without folder and ``.py``.
        minutes: Estimate of one thread of one core, all included.
        seed: Seed of weights, order and augmentation.
        family: Key of :data:`TUNED` whose rate it takes, or None.
        options: Changes of the config, as ``Config.merge_from_dict`` has
            them. ``{NAME}`` in a text is the folder of another run.
        needs: Runs whose weights it starts from.
    """

    name: str
    config: str
    minutes: float
    seed: int = 1
    family: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The config file."""
        return CONFIGS / f'{self.config}.py'

    @property
    def is_trial(self) -> bool:
        """Whether it is one learning rate of a tuning."""
        return self.name.startswith('tune_')


def trials(family: str) -> list[Run]:
    """Return the trainings that choose the learning rate of a family.

    Eight epochs on a tenth of the training split, the last without a
    validation; see :func:`projects.photographs.training.choose_rate`.
    """
    options = {
        'train_dataloader.dataset.indices': TENTH,
        'train_cfg.max_epochs': TUNING_EPOCHS,
        'param_scheduler.0.end': 12,
        'default_hooks.logger.interval': 12,
        'log_processor.window_size': 24,
    }
    return [
        Run(
            f'tune_{family}_{rate}',
            f'{TUNED[family]}_lspet-128x96',
            minutes=1,
            options={**options, 'optim_wrapper.optimizer.lr': rate},
        )
        for rate in RATES
    ]


def _row(name: str, family: str, minutes: float, seed: int = 1) -> Run:
    label = name if seed == 1 else f'{name}_seed{seed}'
    return Run(label, f'{name}_lspet-128x96', minutes, seed, family)


#: Rows of the table, in the order in which they are trained.
ROWS = [
    _row('gtpt-t', 'gtpt', 21),
    _row('rtmpose-t', 'rtmpose', 10),
    _row('hevitpose-t', 'hevitpose', 25),
    _row('vitpose-tiny', 'vitpose', 22),
    _row('mobilenetv2', 'mobilenetv2', 28),
    _row('simcc-res18', 'simcc', 37),
    _row('gtpt-s', 'gtpt', 41),
    _row('vitpose-s', 'vitpose', 74),
]
RUNS = {run.name: run for run in ROWS}

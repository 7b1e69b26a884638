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
        minutes: Estimated total time with one thread on one core.
        seed: Seed of weights, order and augmentation.
        family: Key of :data:`TUNED` whose rate it takes, or None.
        options: Changes of the config, as for ``Config.merge_from_dict``.
            ``{NAME}`` in a string stands for the folder of that run.
        needs: Runs whose weights it reads.
        prepare: Arguments of a ``gtpt-mm`` command that runs first.
    """

    name: str
    config: str
    minutes: float
    seed: int = 1
    family: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()

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
            f'{TUNED[family]}_1xb16-15e_lspet-128x96',
            minutes=1,
            options={**options, 'optim_wrapper.optimizer.lr': rate},
        )
        for rate in RATES
    ]


def fill_in(value: Any, run: Run, out: Path) -> Any:
    """Replace ``{NAME}`` in a text by the folder of a run."""
    if not isinstance(value, str):
        return value
    for name in (run.name, *run.needs):
        value = value.replace(f'{{{name}}}', str(out / name))
    return value


def _row(name: str, family: str | None, minutes: float, seed: int = 1) -> Run:
    label = name if seed == 1 else f'{name}_seed{seed}'
    return Run(label, f'{name}_1xb16-15e_lspet-128x96', minutes, seed, family)


def _short(
    name: str,
    config: str,
    minutes: float,
    family: str,
    epochs: int = 7,
    seed: int = 1,
    needs: tuple[str, ...] = (),
    **options: Any,
) -> Run:
    """Return a run on ``lspet_sub`` of fewer epochs than a row has."""
    options = {key.replace('__', '.'): v for key, v in options.items()}
    length = {'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': epochs}
    return Run(
        name, f'{config}_1xb16-15e_lspet-128x96', minutes, seed, family,
        {**length, **options}, needs,
    )  # fmt: skip


#: Rows of the table, in the order in which they are trained.
ROWS = [
    _row('rtmpose-t', 'rtmpose', 10),
    _row('gtpt-t', 'gtpt', 21),
    _row('hevitpose-t', 'hevitpose', 25),
    _row('vitpose-tiny', 'vitpose', 22),
    _row('mobilenetv2', 'mobilenetv2', 28),
    _row('simcc-res18', 'simcc', 37),
    _row('gtpt-s', 'gtpt', 41),
    _row('vitpose-s', 'vitpose', 74),
]
#: More seeds of the rows, for the two closest ones; see ``table.py``.
ROW_SEEDS = [
    _row(row.name, row.family, row.minutes, seed)
    for row in ROWS
    for seed in (2, 3)
]


def _bee(variant: str, minutes: float, seed: int = 1) -> Run:
    name = f'bee_{variant or "gtpt"}' + ('' if seed == 1 else f'_seed{seed}')
    config = f'gtpt-t_{variant}' if variant else 'gtpt-t'
    return Run(name, f'{config}_1xb8-30e_bee-128x128', minutes, seed)


TINY = 'vitpose-tiny'
PLUS = 'vitpose-plus-tiny{}_1xb{}-14e_three-sets-96x96'
#: Runs for the claims of the papers, by paper; docs/photographs.md has why.
CLAIM_RUNS = [
    _bee('', 12),
    _bee('', 12, seed=2),
    _bee('no-groups', 8),
    _bee('unpruned', 9),
    _bee('direct', 7),
    _bee('no-g2l', 12),
    _bee('curriculum', 12),
    _short('peow3', 'hevitpose-t', 9, 'hevitpose', epochs=5),
    _short('peow3_seed2', 'hevitpose-t', 9, 'hevitpose', epochs=5, seed=2),
    _short('peow1', 'hevitpose-t_peow1', 11, 'hevitpose', epochs=5),
    _short(
        'peow1_seed2', 'hevitpose-t_peow1', 11, 'hevitpose', epochs=5, seed=2
    ),
    _short('tiny', TINY, 10, 'vitpose'),
    _short('tiny_seed2', TINY, 10, 'vitpose', seed=2),
    _short('tiny_windows', f'{TINY}_windows', 10, 'vitpose'),
    _short(
        'tiny_windows-shift-pool',
        f'{TINY}_windows-shift-pool',
        11,
        'vitpose',
    ),
    Run('mae', 'mae-tiny_1xb32-40e_lspet-96x96', 10),
    _short(
        'tiny_from-mae',
        TINY,
        10,
        'vitpose',
        needs=('mae',),
        model__backbone__init_cfg__type='MAEPretrained',
        model__backbone__init_cfg__checkpoint='{mae}/weights.pth',
    ),
    _short('tiny_4-epochs', TINY, 6, 'vitpose', epochs=4),
    _short(
        'tiny_distilled',
        f'{TINY}_distill',
        12,
        'vitpose',
        epochs=4,
        needs=('vitpose-s',),
        model__train_cfg__teacher_checkpoint='{vitpose-s}/weights.pth',
    ),
    Run('plus_three', PLUS.format('', 48), 12),
    Run('plus_three_seed2', PLUS.format('', 48), 12, seed=2),
    Run('plus_only-lspet', PLUS.format('_only-lspet', 16), 5),
    Run('plus_only-bee', PLUS.format('_only-bee', 16), 5),
    Run('plus_only-mouse', PLUS.format('_only-mouse', 16), 5),
    Run(
        'plus_add-coco',
        PLUS.format('_add-coco', 16),
        4,
        needs=('plus_three',),
        options={'load_from': '{plus_add-coco}/start.pth'},
        prepare=(
            'add-dataset', '{plus_three}/weights.pth',
            '{plus_add-coco}/start.pth', '--name', 'coco', '--like', 'lspet',
            '--overwrite',
        ),
    ),
    Run('plus_only-coco', PLUS.format('_only-coco', 16), 5),
    Run('plus_only-coco_seed2', PLUS.format('_only-coco', 16), 5, seed=2),
    Run('group-pose', 'group-pose_1xb8-4e_lspet-96x144', 12),
    Run('group-pose_seed2', 'group-pose_1xb8-4e_lspet-96x144', 12, seed=2),
    Run(
        'group-pose_standard',
        'group-pose_standard-attention_1xb8-4e_lspet-96x144',
        12,
    ),
]  # fmt: skip
#: Runs that are trained if none is named.
DEFAULT_RUNS = [*ROWS, *CLAIM_RUNS]
RUNS = {run.name: run for run in [*DEFAULT_RUNS, *ROW_SEEDS]}

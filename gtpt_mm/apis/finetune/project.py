"""The folder of a training: its config, its options, its results."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.datasets.exchange.folder import OwnSet, read_folder

from .facts import SetFacts, read_facts
from .families import Base, find_base
from .keypoint_groups import find_groups
from .loggers import check_logger
from .new_config import START, Plan, dataset_key, new_config
from .rules import Recipe, choose_recipe
from .start import find_start, write_plus_start

#: File with the options of the command, beside the config.
OPTIONS = 'finetune.json'


@dataclass
class Options:
    """Options of the user; None leaves a value to the rule.

    Attributes:
        model: Name of a model, or the file of a config.
        data: Folder written by ``gtpt-mm data import``.
        weights: See :func:`gtpt_mm.apis.finetune.start.find_start`.
        epochs: Number of epochs.
        batch: Instances per step.
        lr: Learning rate.
        input_size: (w, h) of the crops; for Group Pose (0, short side).
        settings: Values by their path in the config.
        logger: Name of a logger, or ''.
        device: ``'auto'``, ``'cpu'`` or ``'cuda'``.
    """

    model: str
    data: str
    weights: str | None = None
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    input_size: tuple[int, int] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    logger: str = ''
    device: str = 'auto'


@dataclass
class Project:
    """The folder of a training.

    Attributes:
        config: File of the config.
        own_set: The set.
        notes: Lines to print about measurements and choices.
    """

    config: Path
    own_set: OwnSet
    notes: list[str]

    @property
    def folder(self) -> Path:
        """The folder."""
        return self.config.parent

    @property
    def work_dir(self) -> Path:
        """Where mmengine writes checkpoints and logs."""
        return self.folder / 'work'

    @property
    def report(self) -> Path:
        """The page at the end."""
        return self.folder / 'report.html'


def default_folder(options: Options) -> Path:
    """Return the default folder of a project."""
    return Path(f'{Path(options.data).name}_{Path(options.model).stem}')


def new_project(
    options: Options, folder: Path, overwrite: bool = False
) -> Project:
    """Write the config of a training on your own set.

    Args:
        options: Options of the training.
        folder: Folder to write; the config gets its name.
        overwrite: Whether an existing config is replaced.

    Raises:
        ValueError: If an option is wrong, or there is a config.
    """
    folder = folder.absolute()
    config = folder / f'{folder.name}.py'
    if config.exists() and not overwrite:
        raise ValueError(f'{config} exists; give --overwrite to replace it')
    _check(options)
    own_set = read_folder(Path(options.data).absolute())
    base = find_base(options.model)
    facts = read_facts(own_set)
    start = find_start(base, options.weights)
    recipe = _choose(options, base, facts, start)
    notes = describe(facts, recipe, base.family, start)
    folder.mkdir(parents=True, exist_ok=True)
    if base.family == 'vitpose-plus' and start:
        key, number = dataset_key(facts), len(base.cfg.dataset_names)
        file = folder / START
        notes.append(write_plus_start(start, key, number, own_set, file))
        start = START
    plan = Plan(base, facts, recipe, start, options.logger, options.settings)
    new_config(plan, own_set, config)
    with atomic_write(folder / OPTIONS) as temporary:
        Path(temporary).write_text(json.dumps(_to_json(options), indent=1))
    return Project(config, own_set, notes)


def _check(options: Options) -> None:
    """Raise for impossible numbers and for an unknown logger."""
    for name in ('epochs', 'batch', 'lr'):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ValueError(f'--{name} must be positive, got {value}')
    check_logger(options.logger)


def _choose(
    options: Options, base: Base, facts: SetFacts, start: str
) -> Recipe:
    """Return the rule's recipe with the numbers that the user gave."""
    return choose_recipe(
        facts,
        base.family,
        base.input_size,
        not start,
        find_device(options.device),
        base.step(not start),
        epochs=options.epochs,
        batch=options.batch,
        lr=options.lr,
        input_size=options.input_size,
    )


def open_project(options: Options, folder: Path) -> Project | None:
    """Return a project begun with the same options; None if there is none.

    Raises:
        ValueError: If it was begun with other options.
    """
    folder = folder.absolute()
    config, file = folder / f'{folder.name}.py', folder / OPTIONS
    if not config.is_file():
        return None
    old = json.loads(file.read_text('utf-8')) if file.is_file() else {}
    new = _to_json(options)
    other = [key for key in new if old.get(key) != new[key]]
    if other:
        changes = ', '.join(f'{k}={old.get(k)}, now {new[k]}' for k in other)
        raise ValueError(
            f'{folder} was begun with {changes}; give the same options to '
            'continue, another --dir, or --overwrite to begin again'
        )
    own_set = read_folder(Path(options.data).absolute())
    return Project(config, own_set, [f'{config} is there and stays as it is'])


def _to_json(options: Options) -> dict:
    """Return options as JSON values."""
    values = asdict(options) | dict(data=str(Path(options.data).absolute()))
    values['settings'] = dict(options.settings)
    return json.loads(json.dumps(values, default=str))


def find_device(device: str) -> str:
    """Return ``'cpu'`` or ``'cuda'``.

    Raises:
        ValueError: If there is no such device.
    """
    has_gpu = torch.cuda.is_available()
    if device == 'auto':
        return 'cuda' if has_gpu else 'cpu'
    if device not in ('cpu', 'cuda') or device == 'cuda' and not has_gpu:
        raise ValueError(
            f'--device {device} is not here; give auto, cpu'
            + (' or cuda' if has_gpu else '')
        )
    return device


def describe(
    facts: SetFacts, recipe: Recipe, family: str, start: str
) -> list[str]:
    """Return lines to print about measurements and choices."""
    width, height = recipe.input_size
    whole = family == 'group-pose'
    size = f'short side {height}' if whole else f'{width} x {height}'
    turned = facts.circular_variance
    lines = [
        f'{facts.name}: {len(facts.keypoints)} keypoints, '
        f'{len(facts.swap)} pairs left/right; {facts.num_train} instances to '
        f'train on, {facts.num_val} to validate on',
        f'starts from {start or "random weights"}',
        f'{recipe.epochs} epochs, batch {recipe.batch}, learning rate '
        f'{recipe.lr:g} after {recipe.warmup} steps of warm-up, input {size}',
        f'flips {"on" if recipe.flip else "off"}: {len(facts.swap)} pairs, '
        f'handedness {facts.handedness:.2f}',
    ]
    if not whole:
        lines.append(
            f'rotation up to {recipe.rotation:.0f} degrees: the most stable '
            f'body axis has a circular variance of {turned:.2f}'
        )
    if family == 'gtpt':
        groups = find_groups(len(facts.keypoints), facts.links, facts.swap)
        lines.append('keypoint groups, limb chains of the skeleton:')
        lines += [
            f'  {", ".join(facts.keypoints[i] for i in group)}'
            for group in groups
        ]
    return lines

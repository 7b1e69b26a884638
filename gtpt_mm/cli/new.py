"""``gtpt-mm new``: the config of a training on your own set."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import add_overwrite

if TYPE_CHECKING:
    from gtpt_mm.apis.finetune.project import Options

HELP = 'write a short config that trains a model on an annotated set'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    add = parser.add_argument
    # fmt: off
    add('model', help='name of a model, such as vitpose-s; or a config')
    add('--data', required=True, help='folder of `gtpt-mm data import`')
    add('--dir', type=Path, help='folder to write (default: DATA_MODEL)')
    add('--from', dest='weights', metavar='WEIGHTS',
        help='where to start: a name, file, URL, folder of transformers, or '
        'scratch (default: the public weights of the model)')
    add('--epochs', type=int, help='number of epochs (default: by rule)')
    add('--batch', type=int, help='batch size (default: by rule)')
    add('--lr', type=float, help='learning rate (default: by rule)')
    add('--input-size', type=int, nargs=2, metavar=('W', 'H'),
        help='size of the crops (default: by rule); for Group Pose 0 and the '
        'short side')
    add('--set', dest='settings', nargs='+', action='extend', default=[],
        metavar='KEY=VALUE',
        help='any other value of the config, such as '
        'train_dataloader.num_workers=4')
    add('--logger', default='',
        help='tensorboard, wandb, mlflow or clearml, besides the log files')
    add('--device', default='auto',
        help='device that the rule is for: auto (default), cpu, cuda')
    # fmt: on
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Write the config and print what was measured and chosen."""
    from gtpt_mm.apis.finetune.project import default_folder, new_project

    options = read_options(args)
    folder = args.dir or default_folder(options)
    project = new_project(options, folder, args.overwrite)
    print('\n'.join(project.notes))
    lines = project.config.read_text().splitlines()
    print(f'{project.config}: {len(lines)} lines')
    print(
        f'train it: mim train gtpt_mm {project.config} --work-dir '
        f'{project.work_dir}'
    )
    return 0


def read_options(args: argparse.Namespace) -> 'Options':
    """Return the options of ``new`` and ``finetune``."""
    from gtpt_mm.apis.finetune.project import Options

    return Options(
        model=args.model,
        data=args.data,
        weights=args.weights,
        epochs=args.epochs,
        batch=args.batch,
        lr=args.lr,
        input_size=tuple(args.input_size) if args.input_size else None,
        settings=dict(map(_read_setting, args.settings)),
        logger=args.logger,
        device=args.device,
    )


def _read_setting(text: str) -> tuple[str, Any]:
    """Return the key and value of ``KEY=VALUE``.

    Raises:
        ValueError: If it has another form.
    """
    from mmengine.config import DictAction

    key, sign, value = text.partition('=')
    parts = key.split('.')
    if not sign or not all(p.isidentifier() or p.isdigit() for p in parts):
        raise ValueError(
            f'--set {text}: give KEY=VALUE, such as '
            'optim_wrapper.optimizer.lr=0.001'
        )
    return key, DictAction._parse_iterable(value)

"""``gtpt-mm train``: mmpose's train script under the compat layer."""

import argparse
import importlib.util
from pathlib import Path

from .run import run_script

HELP = (
    "Train a config by mmpose's tools/train.py; also under torchrun and Slurm."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'config', help='path of a config, or name of a model, say vitpose-b'
    )
    parser.add_argument(
        'arguments',
        nargs=argparse.REMAINDER,
        metavar='...',
        help="options of mmpose's script: --work-dir, --resume, --launcher, "
        '--auto-scale-lr, --cfg-options ...; CONFIG --help lists them',
    )


def run(args: argparse.Namespace) -> int:
    """Run the script; its exceptions and its exit code are those of python.

    Several processes: ``python -m torch.distributed.run ... -m gtpt_mm train
    CONFIG --launcher pytorch``.
    """
    return run_script(
        find_train_script(), [find_config(args.config), *args.arguments]
    )


def find_config(name: str) -> str:
    """Return the path of a config.

    Raises:
        ValueError: If there is neither such a file nor such a model.
    """
    from gtpt_mm.config_names import find_model, suggest

    if Path(name).is_file():
        return name
    model = find_model(name)
    if model is None or not model.config:
        raise ValueError(f'there is no config {name}. {suggest(name)}')
    return str(model.path)


def find_train_script() -> str:
    """Return the path of mmpose's train script.

    Raises:
        ValueError: If this mmpose has none.
    """
    found = importlib.util.find_spec('mmpose')
    folder = Path(found.origin).parent if found and found.origin else Path()
    for place in (folder / '.mim', folder.parent):
        path = place / 'tools' / 'train.py'
        if path.is_file():
            return str(path)
    raise ValueError(
        f'mmpose in {folder} has no tools/train.py; gtpt-mm setup installs '
        'the right one'
    )

"""``gtpt-mm pack``: a trained model in one folder."""

import argparse
from pathlib import Path

from .common import add_overwrite, read_config

HELP = 'put config, weights and keypoint names of a model into one folder'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'config', type=Path, help='config of the training, by path or name'
    )
    parser.add_argument('checkpoint', type=Path, help='its checkpoint')
    parser.add_argument('folder', type=Path, help='folder to write')
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Pack one model and print where it is."""
    from gtpt_mm.apis.model_folder import pack, read_facts

    file = read_config(args.config).filename
    folder = pack(file, args.checkpoint, args.folder, args.overwrite)
    facts = read_facts(folder)
    for one in facts['datasets'].values():
        print(f'{one["dataset"]}: {len(one["keypoints"])} keypoints')
    print(f'{folder}: {facts["num_parameters"]:,} parameters')
    print(f'SHA-256 of the weights: {facts["sha256"]}')
    return 0

"""``gtpt-mm add-dataset``: extend the weights of a ViTPose++ by a dataset."""

import argparse
from pathlib import Path

from .common import add_overwrite, check_target

HELP = 'Give a trained ViTPose++ the experts and the head of one more dataset.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument('source', type=Path, help='checkpoint to read')
    parser.add_argument('target', type=Path, help='checkpoint to write')
    parser.add_argument('--name', required=True, help='name of the dataset')
    parser.add_argument(
        '--like',
        required=True,
        metavar='NAME',
        help='dataset of the checkpoint whose experts and head it starts with',
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Write the file and print its new content."""
    from gtpt_mm import convert
    from gtpt_mm.compat.files.loaded_tensors import check_finite

    check_target(args.target, args.overwrite)
    convert.check_dataset_name(args.name)
    state_dict, _ = convert.read_state_dicts(args.source)
    added = convert.add_dataset(state_dict, args.name, args.like)
    check_finite(added, f'the weights of {args.source}')
    convert.write_state_dict(args.target, added, {})
    print(
        f'{args.source} -> {args.target}: {len(added) - len(state_dict)} '
        f'tensors more, of {args.name}, like {args.like}; its last layer '
        'is initialised again'
    )
    print(f'SHA-256: {convert.find_sha256(args.target)}')
    return 0

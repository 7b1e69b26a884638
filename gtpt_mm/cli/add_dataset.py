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
    import torch

    from gtpt_mm.apis import add_dataset
    from gtpt_mm.convert import read_state_dicts

    check_target(args.target, args.overwrite)
    state_dict, _ = read_state_dicts(str(args.source))
    added = add_dataset(state_dict, args.name, args.like)
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(meta={}, state_dict=added), args.target)
    print(
        f'{args.source} -> {args.target}: {len(added) - len(state_dict)} '
        f'tensors more, of {args.name}, like {args.like}; its last layer '
        'is initialised again'
    )
    return 0

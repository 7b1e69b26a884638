"""``gtpt-mm add-dataset``: weights of a ViTPose++ for one dataset more."""

import argparse
import pickle
import sys
from pathlib import Path

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
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an existing target'
    )


def run(args: argparse.Namespace) -> int:
    """Write the file; print what it has; return 2 on bad input."""
    import torch

    from gtpt_mm.apis import add_dataset
    from gtpt_mm.convert import read_state_dicts

    try:
        if args.target.exists() and not args.overwrite:
            raise ValueError(
                f'{args.target} exists; give --overwrite to replace it'
            )
        state_dict, _ = read_state_dicts(str(args.source))
        added = add_dataset(state_dict, args.name, args.like)
        args.target.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(meta={}, state_dict=added), args.target)
    except (ValueError, OSError, pickle.UnpicklingError) as error:
        print(f'gtpt-mm add-dataset: {error}', file=sys.stderr)
        return 2
    print(
        f'{args.source} -> {args.target}: {len(added) - len(state_dict)} '
        f'tensors more, of {args.name}, like {args.like}; its last layer '
        'starts anew'
    )
    return 0

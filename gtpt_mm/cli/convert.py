"""``gtpt-mm convert``: checkpoints from other code, to and fro."""

import argparse
import pickle
import sys
from pathlib import Path

HELP = "Convert a checkpoint of a model's authors to this project's layout."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument('source', type=Path, help='checkpoint to read')
    parser.add_argument('target', type=Path, help='checkpoint to write')
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument(
        '--half',
        choices=('ema', 'model'),
        default='ema',
        help='which weights of a GTPT file: averaged (what the paper '
        'evaluates; the default) or trained',
    )
    direction.add_argument(
        '--reverse',
        action='store_true',
        help="write the authors' layout, both halves, from one of our "
        'checkpoints',
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an existing target'
    )


def run(args: argparse.Namespace) -> int:
    """Convert one file; print what was written; return 2 on bad input."""
    try:
        num_tensors = _convert(args)
    except (ValueError, OSError, pickle.UnpicklingError) as error:
        print(f'gtpt-mm convert: {error}', file=sys.stderr)
        return 2
    print(f'{args.source} -> {args.target}: {num_tensors} tensors')
    return 0


def _convert(args: argparse.Namespace) -> int:
    """Convert one file and return the number of tensors written."""
    import torch

    from gtpt_mm.convert.gtpt import (
        convert_gtpt,
        read_state_dicts,
        revert_gtpt,
    )

    if args.target.exists() and not args.overwrite:
        raise ValueError(
            f'{args.target} exists; give --overwrite to replace it'
        )
    state_dict, trained = read_state_dicts(str(args.source))
    if args.reverse:
        content = converted = revert_gtpt(state_dict, trained)
    else:
        converted = convert_gtpt(state_dict, args.half)
        content = dict(
            meta=dict(converted_from=args.source.name, half=args.half),
            state_dict=converted,
        )
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, args.target)
    return len(converted)

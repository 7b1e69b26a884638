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
    parser.add_argument(
        '--half',
        choices=('ema', 'model'),
        help='which weights of a GTPT file: averaged (what the paper '
        'evaluates; the default) or trained',
    )
    parser.add_argument(
        '--reverse',
        action='store_true',
        help="write the authors' layout from one of our checkpoints (of a "
        'GTPT: both halves)',
    )
    parser.add_argument(
        '--layout',
        choices=('authors', 'mmpose'),
        help='with --reverse, of a ViTPose: whose names to write; default '
        "the authors'",
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

    from gtpt_mm.convert import read_state_dicts

    if args.target.exists() and not args.overwrite:
        raise ValueError(
            f'{args.target} exists; give --overwrite to replace it'
        )
    if args.layout and not args.reverse:
        raise ValueError('--layout says what --reverse writes; give both')
    if args.half and args.reverse:
        raise ValueError('--reverse writes both halves; leave --half out')
    state_dict, trained = read_state_dicts(str(args.source))
    if args.reverse:
        content = converted = _revert(state_dict, trained, args.layout)
    else:
        converted, meta = _import(state_dict, args.half)
        meta['converted_from'] = args.source.name
        content = dict(meta=meta, state_dict=converted)
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, args.target)
    return len(converted)


def _import(state_dict: dict, half: str | None) -> tuple[dict, dict]:
    """Find out what a foreign checkpoint is of; return weights and meta."""
    from gtpt_mm.convert import (
        convert_group_pose,
        convert_gtpt,
        convert_vitpose,
        find_vitpose_layout,
        is_authors_group_pose,
        is_authors_gtpt,
    )

    if is_authors_group_pose(state_dict):
        if half:
            raise ValueError(f'--half {half} is of GTPT; this is a Group Pose')
        return convert_group_pose(state_dict), {}
    layout = find_vitpose_layout(state_dict)
    if layout:
        if half:
            raise ValueError(f'--half {half} is of GTPT; this is a ViTPose')
        converted, left_out = convert_vitpose(state_dict)
        for name in left_out:
            print(f'left out, not used by a ViTPose: {name}')
        return converted, dict(layout=layout, left_out=left_out)
    if is_authors_gtpt(state_dict):
        half = half or 'ema'
        return convert_gtpt(state_dict, half), dict(half=half)
    raise ValueError(
        'neither a GTPT or Group Pose of its authors nor a ViTPose of its '
        f"authors' or mmpose; the first keys are {list(state_dict)[:5]}"
    )


def _revert(
    state_dict: dict, trained: dict | None, layout: str | None
) -> dict:
    """Return one of our checkpoints under foreign names."""
    from gtpt_mm.convert import (
        is_our_group_pose,
        is_our_vitpose,
        revert_group_pose,
        revert_gtpt,
        revert_vitpose,
    )

    if is_our_vitpose(state_dict):
        return revert_vitpose(state_dict, layout or 'authors')
    if layout:
        raise ValueError(
            f'--layout {layout} is of ViTPose; the checkpoint is not'
        )
    if is_our_group_pose(state_dict):
        return revert_group_pose(state_dict)
    return revert_gtpt(state_dict, trained)

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
    parser.add_argument(
        '--keypoints',
        metavar='METAINFO',
        help='skeleton of the dataset, a file with dataset_info or the name '
        'of one of mmpose: the last layer of the head starts with the rows '
        'of --like, by the names of the keypoints; default: at random',
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
    last = 'its last layer is initialised again'
    if args.keypoints:
        added = _add_last_layer(added, args)
        last = 'its last layer by the names above'
    check_finite(added, f'the weights of {args.source}')
    convert.write_state_dict(args.target, added, {})
    print(
        f'{args.source} -> {args.target}: {len(added) - len(state_dict)} '
        f'tensors more, of {args.name}, like {args.like}; {last}'
    )
    print(f'SHA-256: {convert.find_sha256(args.target)}')
    return 0


def _add_last_layer(added: dict, args: argparse.Namespace) -> dict:
    """Return weights with the last layer of the new head; print its rows.

    Raises:
        ValueError: If the keypoints of ``--like`` are unknown.
    """
    from gtpt_mm import convert
    from gtpt_mm.convert.skeletons import add_last_layer

    names = convert.read_names(args.keypoints)
    meta = convert.read_checkpoint(args.source).get('meta')
    source = convert.find_names(added, meta, dataset=args.like)
    if source is None:
        raise ValueError(
            f'{args.source} does not name the keypoints of {args.like!r}; '
            'leave out --keypoints'
        )
    moved = add_last_layer(added, args.name, names, args.like, source.names)
    print(moved)
    return moved.state_dict

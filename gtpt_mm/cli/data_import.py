"""``gtpt-mm data import``: read the set of an annotation tool."""

import argparse
from pathlib import Path

from .common import add_overwrite

HELP = (
    'Read a set of an annotation tool; write COCO files of train and val, '
    'metainfo.py and the pictures.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'source', type=Path, help='file, folder or zip of the tool'
    )
    parser.add_argument('out', type=Path, help='folder to make')
    add_reading(parser)
    parser.add_argument(
        '--swap',
        default='',
        metavar='LEFT=RIGHT,...',
        help='pairs that mirroring a picture swaps, if the names do not show '
        'them; NAME= for none',
    )
    parser.add_argument(
        '--val',
        type=float,
        default=0.2,
        help='share of val if the source has no split; default 0.2',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the split; default 0'
    )
    parser.add_argument(
        '--split-by',
        choices=('auto', 'group', 'picture'),
        default='auto',
        help='keep videos or sessions in one split; default: if there are '
        'several',
    )
    add_writing(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that reads a set."""
    parser.add_argument(
        '--format',
        default='auto',
        help='coco, yolo, cvat, label-studio, deeplabcut, sleap or labelme; '
        'default auto: detected from the files',
    )
    parser.add_argument(
        '--images', type=Path, metavar='DIR', help='folder of the pictures'
    )
    parser.add_argument(
        '--category',
        metavar='NAME',
        help='category to read, if several have different keypoints',
    )
    parser.add_argument(
        '--names',
        type=split_names,
        metavar='A,B,...',
        help='names of the keypoints, if the source has none or no order',
    )


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that writes a set."""
    parser.add_argument(
        '--link',
        action='store_true',
        help='link to the pictures instead of copying them',
    )
    add_overwrite(parser)


def split_names(text: str) -> list[str]:
    """Return the names of a text with commas."""
    return [name.strip() for name in text.split(',') if name.strip()]


def reading_options(args: argparse.Namespace) -> dict:
    """Return the arguments of ``add_reading`` for ``read_set``."""
    return dict(
        format=args.format,
        images=args.images,
        category=args.category,
        names=args.names,
    )


def run(args: argparse.Namespace) -> int:
    """Write the folder; print what was read and what was left out."""
    from gtpt_mm.datasets.exchange import read_set, split, write_folder
    from gtpt_mm.datasets.exchange.archive import unpacked
    from gtpt_mm.datasets.exchange.folder import drop_missing, is_folder
    from gtpt_mm.datasets.exchange.metainfo import describe, parse_swap
    from gtpt_mm.datasets.exchange.new_folder import check_new_folder
    from gtpt_mm.datasets.exchange.summary import summarize

    check_new_folder(args.out, args.overwrite, is_folder)
    if args.link and args.source.suffix.lower() == '.zip':
        raise ValueError('--link needs pictures that stay; unpack the zip')
    with unpacked(args.source) as source:
        found = read_set(source, **reading_options(args))
        drop_missing(found)
        info = describe(found, parse_swap(args.swap, found.names))
        split(found, args.val, args.seed, args.split_by)
        written = write_folder(
            found, args.out, args.link, args.overwrite, info
        )
    print(summarize(found))
    for note in info['notes']:
        print(f'metainfo: {note}')
    files = ', '.join(file.name for file in written.ann_files.values())
    print(f'wrote {args.out}: {files}, metainfo.py, images/')
    return 0

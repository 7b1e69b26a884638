"""``gtpt-mm data export``: write a set for an annotation tool."""

import argparse
from pathlib import Path

from .data_import import add_reading, add_writing, reading_options

HELP = 'Write a set, and its pictures, for YOLO, CVAT, Label Studio or COCO.'
TARGETS = ('coco', 'yolo', 'cvat', 'label-studio')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'set',
        type=Path,
        help='folder of data import, or file or folder of any known format',
    )
    parser.add_argument('out', type=Path, help='folder to make')
    parser.add_argument(
        '--to', choices=TARGETS, required=True, help='format to write'
    )
    add_reading(parser)
    add_writing(parser)


def run(args: argparse.Namespace) -> int:
    """Write the folder; print its content and what the format loses."""
    from gtpt_mm.datasets.exchange import FORMATS, read_set, write_set
    from gtpt_mm.datasets.exchange.formats import is_export
    from gtpt_mm.datasets.exchange.new_folder import check_new_folder
    from gtpt_mm.datasets.exchange.summary import summarize

    check_new_folder(args.out, args.overwrite, is_export)
    found = read_set(args.set, **reading_options(args))
    write_set(found, args.out, args.to, args.link, args.overwrite)
    print(summarize(found))
    if FORMATS[args.to].LOSES:
        print(f'{args.to} does not keep: {FORMATS[args.to].LOSES}')
    names = sorted(p.name for p in args.out.iterdir() if p.name[0] != '.')
    print(f'wrote {args.out}: {", ".join(names)}')
    return 0

"""``gtpt-mm data check``: everything that is wrong with a set, at once."""

import argparse
from pathlib import Path

from .common import add_overwrite, check_target

HELP = 'Check annotations and pictures; exit code 1 if there are errors.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'annotations',
        type=Path,
        nargs='+',
        metavar='ANN',
        help='a COCO keypoint file, several files with the splits of one set, '
        'or a folder of `gtpt-mm data import`',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the pictures (default: searched beside ANN)',
    )
    parser.add_argument(
        '--metainfo',
        type=Path,
        metavar='FILE',
        help='metainfo to compare with (default: that of the folder)',
    )
    parser.add_argument(
        '--html',
        type=Path,
        metavar='FILE',
        help='write a page with findings, statistics and pictures',
    )
    parser.add_argument(
        '--json',
        type=Path,
        metavar='FILE',
        help='write all findings to this file',
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 0 without, 1 with errors."""
    if args.json and args.json == args.html:
        raise ValueError(f'--json and --html both write {args.json}')
    for file in filter(None, (args.json, args.html)):
        check_target(file, args.overwrite)
    from gtpt_mm.apis.data_check import check_data
    from gtpt_mm.compat.files.atomic_file import atomic_write

    check = check_data(args.annotations, args.images, args.metainfo)
    print(check.format())
    if args.json:
        with atomic_write(args.json) as file:
            file.write_text(check.to_json() + '\n', encoding='utf-8')
    if args.html:
        from gtpt_mm.apis.data_report import write_report

        write_report(check, args.html)
        print(f'wrote {args.html}')
    return 1 if check.num['error'] else 0

"""``gtpt-mm analyze``: the errors of a model, by kind."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .common import add_overwrite, check_folder

if TYPE_CHECKING:
    from gtpt_mm.apis.analysis import Analysis

HELP = 'Count the errors of a model by kind, with AP without each of them.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    add = parser.add_argument
    # fmt: off
    add('source', metavar='CONFIG|ANNOTATIONS',
        help='config (path or name) with a test set, which is tested once; '
        "or COCO's annotation file (.json)")
    add('model', metavar='CHECKPOINT|RESULTS',
        help="weights of the config's model (file, URL or name), or COCO's "
        'file of results (.json)')
    add('--out', type=Path, required=True, metavar='DIR',
        help='folder of report.html, analysis.json and the tables (.csv)')
    add('--metainfo', metavar='FILE',
        help='metainfo of an annotation file, or the name of a dataset such '
        'as CrowdPoseDataset (default: metainfo.py beside it, else COCO)')
    add('--images', metavar='DIR',
        help='pictures of an annotation file (default: its folder, or images '
        'in it)')
    add('--dataset', metavar='NAME', help='for a ViTPose++: one of its '
        'datasets')
    add('--worst', type=int, default=20, metavar='N',
        help='instances to draw (default: 20)')
    # fmt: on
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Analyze, write the files and print the numbers."""
    check_folder(args.out)
    report = args.out / 'report.html'
    if report.exists() and not args.overwrite:
        raise ValueError(f'{report} exists; give --overwrite to replace it')
    analysis = _analyze(args)
    title = f'{Path(args.source).stem}, {Path(args.model).name}'
    paths = analysis.write(args.out, title, args.worst)
    print('\n'.join(_describe(analysis)))
    print(f'wrote {", ".join(path.name for path in paths)} to {args.out}')
    return 0


def _analyze(args: argparse.Namespace) -> 'Analysis':
    from gtpt_mm.apis import analysis_run

    has_results = _is_json(args.model)
    if not _is_json(args.source):
        if args.metainfo or args.images:
            raise ValueError(
                '--metainfo and --images are for an annotation file; a '
                'config names its own'
            )
        if has_results:
            return analysis_run.analyze_config(
                args.source, args.model, args.dataset
            )
        return analysis_run.analyze_model(
            args.source, args.model, args.dataset
        )
    if not has_results:
        raise ValueError(
            f'{args.model} is not a file of results (.json), which an '
            'annotation file needs; give a config to test a checkpoint'
        )
    return analysis_run.analyze_files(
        args.source, args.model, args.metainfo, args.images
    )


def _is_json(name: str) -> bool:
    return Path(name).suffix == '.json'


def _describe(analysis: 'Analysis') -> list[str]:
    """Return the lines that are printed."""
    lines = [
        f'AP {analysis.ap:.3f}   PCK@0.1 (box) {analysis.pck:.3f}',
        '',
        f'{"error":28}{"count":>7}{"AP without":>12}{"AP so far":>12}',
    ]
    lines += [
        f'{row["error"].replace("_", " "):28}{row["count"]:7d}'
        f'{row["ap_without"]:12.3f}{row["ap_cumulative"]:12.3f}'
        for row in analysis.per_error
    ]
    lines += ['', f'{"keypoint":28}{"labelled":>9}{"error":>8}{"PCK":>8}']
    lines += [
        f'{row["keypoint"]:28}{row["labelled"]:9d}{row["error"]:8.3f}'
        f'{row["pck"]:8.3f}'
        for row in analysis.per_keypoint
    ]
    return lines

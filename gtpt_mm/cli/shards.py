"""``gtpt-mm predict --shard``: a part of a large collection, as Parquet."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtpt_mm.apis.pose_inferencer import PoseInferencer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--shard``."""
    parser.add_argument(
        '--shard',
        metavar='I/N',
        help='write part I of N, from 0, of the inputs as a Parquet file; '
        'inputs may then be lists (.txt) and Parquet files of pictures. '
        'auto: the part of this process among those started by torchrun or '
        'SLURM; auto/N: its share of N parts (docs/collections.md)',
    )


def check(args: argparse.Namespace, default_formats: list[str]) -> None:
    """Refuse options that have no effect on shards, and a wrong shard."""
    from gtpt_mm.apis.collections.shards import find_shards

    find_shards(args.shard)
    given = dict(
        track=args.track,
        smooth=args.smooth,
        to=args.to,
        format=args.formats != default_formats,
    )
    for name, value in given.items():
        if value:
            raise ValueError(
                f'--shard writes Parquet files: --{name} has no effect'
            )
    out = os.path.realpath(args.out)
    if any(os.path.realpath(place) == out for place in args.inputs):
        raise ValueError(
            f'--out {args.out} is one of the inputs; give another folder'
        )


def write(
    args: argparse.Namespace,
    inferencer: 'PoseInferencer',
    predict: Callable[[Iterator], Iterator],
) -> int:
    """Write the shards of this process, and print a line for each."""
    from gtpt_mm.apis.collections.shards import predict_shards
    from gtpt_mm.apis.progress import show_progress

    settings: dict[str, Any] = {}
    if args.boxes is not None:
        settings['boxes'] = str(args.boxes)
    reports = predict_shards(
        inferencer,
        args.inputs,
        args.out,
        args.shard,
        overwrite=args.overwrite,
        predict=lambda frames: show_progress(predict(frames)),
        settings=settings,
    )
    for report in reports:
        print(report)
        sys.stdout.flush()
    return 0

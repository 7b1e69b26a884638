"""``gtpt-mm predict``: the people in images and videos, as files."""

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import shards
from .common import add_overwrite, add_runtime, check_folder

if TYPE_CHECKING:
    from gtpt_mm.apis.given_boxes import GivenBoxes
    from gtpt_mm.apis.pose_inferencer import PoseInferencer
    from gtpt_mm.apis.results import Frame, PoseResult
    from gtpt_mm.apis.writing import ResultWriter

HELP = 'Find the people in images and videos: pictures, lines, tables.'
DEFAULT_FORMATS = ['jsonl', 'csv']
INPUTS_HELP = (
    'image, video, folder (its images and videos, without folders in it), '
    "pattern ('shots/**/*.jpg'), address (http://, rtsp://), webcam or "
    'webcam:1'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    add = parser.add_argument
    # fmt: off
    add('inputs', nargs='+', metavar='INPUT', help=INPUTS_HELP)
    add('--model', required=True,
        help='name of a model, path of a config, or folder of a packed model')
    add('--out', required=True, type=Path, help='folder of the results')
    add('--weights', help="checkpoint, a file or URL, or 'random' to try the "
        'command without any (default: those that belong to the name or '
        'folder)')
    add('--detector', default='auto',
        help='detector of people for a top-down model: auto (default), '
        'whole_image, or a name or file listed in docs/inference.md')
    add('--boxes', type=Path, metavar='FILE',
        help='JSON with boxes instead of a detector: {"a.jpg": [[x1, y1, x2, '
        'y2], ...]}, or COCO annotations or results')
    add('--dataset', help='keypoints of a model for several datasets')
    add('--device', default='auto', help='auto (default), cpu, cuda, cuda:1')
    add('--dtype', default='auto',
        help='auto (default), float32, bfloat16, float16')
    add('--batch-size', type=int, default=32, metavar='N',
        help='people, and images, in one pass (default: 32)')
    add('--threshold', type=float, default=0.3, metavar='SCORE',
        help='draw keypoints with at least this score (default: 0.3); the '
        'files hold all')
    add('--box-threshold', type=float, default=0.3, metavar='SCORE',
        help='use boxes with at least this score (default: 0.3)')
    add('--no-draw', dest='draw', action='store_false',
        help='write no pictures and videos')
    add('--format', nargs='+', default=DEFAULT_FORMATS, metavar='FORMAT',
        choices=('jsonl', 'csv', 'coco'), dest='formats',
        help='jsonl, csv, coco (default: jsonl csv)')
    add('--track', nargs='?', const='oks', metavar='METHOD',
        help='ids over the frames of a video, by oks (the default METHOD) or '
        'a method of the trackers package such as bytetrack')
    add('--smooth', choices=('one-euro', 'savgol'),
        help='smooth the keypoints of videos, with ids (--track) only')
    # fmt: on
    add_runtime(parser)
    shards.add_arguments(parser)
    _add_tool_arguments(parser)
    add_overwrite(parser)


def _add_tool_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the labelling loop."""
    add = parser.add_argument
    # fmt: off
    add('--to', choices=('cvat', 'label-studio', 'coco'),
        help='write the pictures with their people for correction in a tool '
        '(docs/labelling.md), not drawn pictures and tables')
    add('--uncertain-first', nargs='?', type=int, const=0, metavar='N',
        help='with --to: order the pictures by the uncertainty of the model, '
        'and write the first N (default: all)')
    add('--link', action='store_true',
        help='with --to: link the pictures instead of copying them')
    # fmt: on


def run(args: argparse.Namespace) -> int:
    """Write the results; return 0 unless no input could be read."""
    boxes = _check(args)
    try:
        if args.shard is not None:
            return _write_shards(args, boxes)
        if args.to:
            return _write_for_tool(args, boxes)
        return _write_results(args, boxes)
    except ImportError as error:
        if 'pip install' not in str(error):
            raise
        raise ValueError(str(error)) from error  # names the extra


def _write_results(
    args: argparse.Namespace, boxes: 'GivenBoxes | None'
) -> int:
    """Write pictures, lines and tables; return the exit code."""
    from gtpt_mm.apis.writing import ResultWriter

    from . import INTERRUPTED

    writer = ResultWriter(
        args.out,
        draw=args.draw,
        formats=args.formats,
        threshold=args.threshold,
        overwrite=args.overwrite,
        image_ids=boxes.image_ids if boxes and boxes.image_ids else None,
    )
    try:
        _write(args, boxes, writer)
    except KeyboardInterrupt:
        if not writer.summary.images:
            raise
        _report(writer, sys.stderr)
        print(f'interrupted; so far, whole, in {args.out}', file=sys.stderr)
        return INTERRUPTED
    _report(writer, sys.stdout)
    return 0 if writer.summary.images else 1


def _write_shards(args: argparse.Namespace, boxes: 'GivenBoxes | None') -> int:
    """Write the shards of this process; return the exit code."""
    from gtpt_mm.apis.pose_inferencer import PoseInferencer

    inferencer = _describe_inferencer(args, PoseInferencer)
    return shards.write(
        args,
        inferencer,
        lambda frames: _predict(args, inferencer, frames, boxes),
    )


def _check(args: argparse.Namespace) -> 'GivenBoxes | None':
    """Refuse invalid arguments before a model is loaded; return the boxes."""
    from gtpt_mm.apis.given_boxes import read_boxes

    check_folder(args.out)
    for name in ('threshold', 'box_threshold'):
        if not 0 <= getattr(args, name) <= 1:
            raise ValueError(
                f'--{name.replace("_", "-")} {getattr(args, name)} is not in '
                '0..1'
            )
    if args.shard is not None:
        shards.check(args, DEFAULT_FORMATS)
    _check_tool(args)
    if args.smooth and not args.track:
        raise ValueError('--smooth requires ids: add --track')
    folders = {
        (path if path.is_dir() else path.parent).resolve()
        for path in map(Path, args.inputs)
        if '\0' not in str(path) and path.exists()
    }
    if args.overwrite and args.out.resolve() in folders:
        raise ValueError(
            f'--out {args.out} holds inputs, which --overwrite would replace; '
            'give another folder'
        )
    if args.boxes is None:
        return None
    if args.detector != 'auto':
        raise ValueError('give --boxes or --detector, not both')
    return read_boxes(args.boxes, args.box_threshold)


def _write(
    args: argparse.Namespace,
    boxes: 'GivenBoxes | None',
    writer: 'ResultWriter',
) -> None:
    """Predict and write, with a progress bar on a terminal."""
    from gtpt_mm.apis.pose_inferencer import PoseInferencer

    inferencer = _make_inferencer(args, boxes, PoseInferencer)
    with writer:
        for result in _shown(args, inferencer, boxes):
            writer.write(result)


def _make_inferencer(
    args: argparse.Namespace,
    boxes: 'GivenBoxes | None',
    kind: 'type[PoseInferencer]',
) -> 'PoseInferencer':
    """Return the inferencer with its model, before any file is written."""
    inferencer = _describe_inferencer(args, kind)
    needs_boxes = inferencer.predictor.needs_boxes  # builds the model
    if boxes and not needs_boxes:
        raise ValueError('--boxes: the model finds the people by itself')
    return inferencer


def _describe_inferencer(
    args: argparse.Namespace, kind: 'type[PoseInferencer]'
) -> 'PoseInferencer':
    """Return the inferencer, which builds its model at its first use."""
    return kind(
        args.model,
        args.detector,
        args.device,
        args.dtype,
        args.batch_size,
        args.runtime,
        weights=args.weights,
        dataset=args.dataset,
        threshold=args.box_threshold,
    )


def _shown(
    args: argparse.Namespace,
    inferencer: 'PoseInferencer',
    boxes: 'GivenBoxes | None',
) -> 'Iterable[PoseResult]':
    """Return the results, with a progress bar on a terminal."""
    from gtpt_mm.apis.inputs import count_frames, read_inputs
    from gtpt_mm.apis.progress import show_progress

    frames = read_inputs(args.inputs)
    results = _predict(args, inferencer, frames, boxes)
    total = count_frames(args.inputs) if sys.stderr.isatty() else None
    return show_progress(results, total)


def _check_tool(args: argparse.Namespace) -> None:
    """Refuse options that have no effect with --to, or that require it."""
    if args.to is None:
        if args.uncertain_first is not None or args.link:
            raise ValueError('--uncertain-first and --link require --to')
        return
    if args.track or args.smooth:
        raise ValueError(
            '--to writes single pictures: --track and --smooth have no effect'
        )
    if args.formats != DEFAULT_FORMATS or not args.draw:
        raise ValueError(
            '--to writes the files of a tool: --format and --no-draw have no '
            'effect'
        )
    if args.uncertain_first is not None and args.uncertain_first < 0:
        raise ValueError(
            f'--uncertain-first {args.uncertain_first} must be at least 1'
        )


def _write_for_tool(
    args: argparse.Namespace, boxes: 'GivenBoxes | None'
) -> int:
    """Write predictions for an annotation tool; return the exit code."""
    from gtpt_mm.apis.labelling import LabellingSet, check_out, collect
    from gtpt_mm.apis.pose_inferencer import PoseInferencer
    from gtpt_mm.apis.uncertainty import MeasuringInferencer

    check_out(args.out, args.overwrite)
    is_ordered = args.uncertain_first is not None
    kind = MeasuringInferencer if is_ordered else PoseInferencer
    inferencer = _make_inferencer(args, boxes, kind)
    predictor: Any = inferencer.predictor
    found = LabellingSet(
        predictor.skeleton,
        most=args.uncertain_first or None,
        predictor=predictor if is_ordered else None,
        image_ids=boxes.image_ids if boxes else None,
    )
    collect(_shown(args, inferencer, boxes), found)
    print(found.summary())
    if not found.num_pictures:
        return 1
    written = found.write(args.out, args.to, args.link, args.overwrite)
    print(
        f'{len(written.pictures):,} pictures for {args.to} in {args.out}; '
        'docs/labelling.md says how they come back'
    )
    return 0


def _predict(
    args: argparse.Namespace,
    inferencer: Any,
    frames: 'Iterator[Frame]',
    boxes: 'GivenBoxes | None',
) -> 'Iterator[PoseResult]':
    """Return the results, tracked and smoothed as the arguments say."""
    from gtpt_mm.apis.pose_inferencer import ends_video

    if boxes is None:
        results = inferencer(frames)
    else:
        first, second = itertools.tee(boxes.pair(frames))
        results = inferencer(
            (frame for frame, _ in first),
            (rows for frame, rows in second if not ends_video(frame)),
        )
    if args.track:
        from gtpt_mm.apis.tracking import track

        results = track(results, args.track)
    if args.smooth:
        from gtpt_mm.apis.smoothing import smooth

        results = smooth(results, args.smooth)
    return results


def _report(writer: 'ResultWriter', stream: Any) -> None:
    """Print the counts, the errors by name and the files."""
    print(writer.summary, file=stream)
    if writer.summary.pictures:
        number = writer.summary.pictures
        print(
            f'{number} drawn file{"s" * (number > 1)} in {writer.out_dir}',
            file=stream,
        )
    for file in writer.summary.files:
        if file.exists():
            print(file, file=stream)

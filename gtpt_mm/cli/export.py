"""``gtpt-mm export``: a model as a file of another runtime, checked."""

import argparse
from pathlib import Path

from .common import add_overwrite, check_target

HELP = 'write a model as ONNX, OpenVINO, torch.export or TensorRT, checked'
FORMATS = ('onnx', 'openvino', 'torch-export', 'tensorrt')
PRECISIONS = ('fp32', 'fp16', 'int8')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    add = parser.add_argument
    # fmt: off
    add('model', help='name of a model, path of a config, or folder of a '
        'packed model')
    add('checkpoint', nargs='?',
        help="its weights, a file, URL or 'random' (default: those that "
        'belong to the name or folder)')
    add('--out', required=True, type=Path, metavar='FILE',
        help='file to write: .onnx, .xml, .pt2, .engine')
    add('--format', default='onnx', choices=FORMATS,
        help='kind of file (default: onnx)')
    add('--precision', default='fp32', choices=PRECISIONS,
        help='precision of the network; images and outputs are fp32 '
        '(default: fp32)')
    add('--batch', default='dynamic', metavar='N',
        help='images per call: dynamic (default), or a number')
    add('--decode', action='store_true',
        help='end in keypoints (x, y) in pixels of the input, and scores')
    add('--flip-test', action='store_true',
        help='average with the mirror image, in the file')
    add('--dataset', help='keypoints of a model for several datasets')
    add('--input-size', type=int, nargs=2, metavar=('W', 'H'),
        help='image size of a bottom-up model (default: that of its codec, '
        'or any)')
    add('--tolerance-px', type=float, metavar='PX',
        help='largest deviation that passes, in pixels of the input; for '
        'fp16 and int8 the mean deviation (default: 0.1; for int8 0.5)')
    add('--pictures', type=Path, metavar='DIR',
        help='picture or folder of pictures for the comparison and for the '
        'calibration of int8, each one box (default: drawn figures)')
    add('--annotations', type=Path, metavar='JSON',
        help='COCO file of keypoints: use its boxes in --pictures, and print '
        'AP')
    # fmt: on
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Write and check; return 1 if the file deviates too much."""
    from gtpt_mm.apis.export import export
    from gtpt_mm.deploy.export import FORMATS as KINDS

    for suffix in (args.out.suffix, *KINDS[args.format].others):
        check_target(args.out.with_suffix(suffix), args.overwrite)
    batch = int(args.batch) if args.batch.isdecimal() else args.batch
    try:
        made = export(
            args.model,
            args.checkpoint,
            file=args.out,
            format=args.format,
            precision=args.precision,
            batch=batch,
            decode=args.decode,
            flip_test=args.flip_test,
            dataset=args.dataset,
            input_size=args.input_size and tuple(args.input_size),
            tolerance_px=args.tolerance_px,
            pictures=args.pictures,
            annotations=args.annotations,
        )
    except ImportError as error:
        if 'pip install' not in str(error):
            raise
        raise ValueError(str(error)) from error  # names the extra
    size = made.metadata.input_size
    images = f'of {size[0]} x {size[1]} (w, h)' if size else 'of any size'
    print(
        f'{made.metadata.model}: images {images}, batch '
        f'{made.metadata.batch} -> {", ".join(made.metadata.outputs)}'
    )
    for line in [*made.notes, str(made.report)]:
        print(line)
    return 0 if made.report.passed else 1

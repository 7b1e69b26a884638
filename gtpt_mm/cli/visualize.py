"""``gtpt-mm visualize``: pictures of the tokens and attention of a GTPT."""

import argparse
import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .common import (
    add_no_config_check,
    add_overwrite,
    check_target,
    load_weights,
    read_config,
)

if TYPE_CHECKING:
    import numpy as np
    from mmpose.models import TopdownPoseEstimator

HELP = 'Draw the tokens that a GTPT keeps, or the attention of its keypoints.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument('config', type=Path, help='config of the model')
    parser.add_argument('checkpoint', help='its weights, a file or URL')
    parser.add_argument(
        'images', nargs='+', type=Path, metavar='IMAGE', help='images to draw'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/visualize'),
        help='folder of the pictures, {name of the image}_{kind}.png '
        '(default: work_dirs/visualize)',
    )
    parser.add_argument(
        '--device', default='cpu', help='cpu (default), cuda, cuda:1, ...'
    )
    add_no_config_check(parser)
    _add_picture_options(parser)
    add_overwrite(parser)


def _add_picture_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--kind',
        choices=('pruning', 'attention', 'shallow'),
        default='pruning',
        help='kept tokens (default); attention in all layers, unpruned and '
        'pruned; attention of many keypoints in one layer',
    )
    parser.add_argument(
        '--keypoints',
        nargs='+',
        metavar='KEYPOINT',
        help='names such as nose left_wrist, or numbers (default: attention: '
        'the first of each group; shallow: the whole body)',
    )
    parser.add_argument(
        '--layer',
        nargs='+',
        type=int,
        metavar='N',
        help='layers, counted from 1 (default: attention: all; shallow: the '
        'first with keypoint tokens)',
    )
    parser.add_argument(
        '--bboxes',
        nargs=4,
        type=float,
        action='append',
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='box of an instance in pixels of the only image; may be repeated '
        '(default: one that fills the image)',
    )


def run(args: argparse.Namespace) -> int:
    """Draw all images and print the files that were written."""
    _check(args)
    _draw(args)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse invalid arguments before anything is loaded."""
    from gtpt_mm.visualization.gtpt.draw import check_options

    check_options(args.kind, args.keypoints, args.layer)
    if args.bboxes and len(args.images) > 1:
        raise ValueError(
            f'--bboxes belong to one image, got {len(args.images)} images; '
            'call once for each image'
        )
    counts = Counter(path.stem for path in args.images)
    twice = [path for path in args.images if counts[path.stem] > 1]
    if twice:
        raise ValueError(
            f'the pictures of {", ".join(map(str, twice))} would have one '
            'name; call once for each, with another --out'
        )
    for path in args.images:
        _read_image(path)
        check_target(_target(args, path), args.overwrite)


def _target(args: argparse.Namespace, image: Path) -> Path:
    """Return the file for the picture of an image."""
    return args.out / f'{image.stem}_{args.kind}.png'


def _read_image(path: Path) -> 'np.ndarray':
    """Return an image, (H, W, 3), uint8, BGR.

    Raises:
        ValueError: If it cannot be read.
    """
    import cv2
    import numpy as np

    with contextlib.suppress(OSError):
        # OpenCV opens fewer names than Python, and decodes no empty file.
        content = np.frombuffer(path.read_bytes(), np.uint8)
        img = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
        if img is not None:
            return img
    raise ValueError(
        f'OpenCV cannot read {path}: give an existing file in a format such '
        'as jpg or png'
    )


def _draw(args: argparse.Namespace) -> None:
    """Load the model and write a picture for each image."""
    import cv2

    from gtpt_mm.compat.files.atomic_file import atomic_write
    from gtpt_mm.visualization import crop_instances, draw_tokens

    model = _load(args.config, args.checkpoint, args.device, args.config_check)
    args.out.mkdir(parents=True, exist_ok=True)
    for path in args.images:
        img = _read_image(path)
        crops = crop_instances(model, img, args.bboxes)
        picture = draw_tokens(
            model, crops, args.kind, args.keypoints, args.layer
        )
        target = _target(args, path)
        with atomic_write(target) as file:
            file.write_bytes(cv2.imencode('.png', picture)[1].tobytes())
        print(f'{path} -> {target}')


def _load(
    config: Path, checkpoint: str, device: str, config_check: bool
) -> 'TopdownPoseEstimator':
    """Build the model with exactly the weights of the checkpoint.

    Raises:
        ValueError: If device, config or weights do not fit.
    """
    import torch
    from mmpose.apis import init_model

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'--device {device} cannot be used ({error}); leave it out for cpu'
        ) from error
    cfg = read_config(config)
    if not config_check:
        cfg.config_check = False
    if not cfg.get('test_dataloader'):
        raise ValueError(
            f'{config} has no test_dataloader, whose pipeline crops the images'
        )
    try:
        model = init_model(cfg, device=device)
    except Exception as error:  # whatever a constructor raises
        raise ValueError(
            f'the model of {config} cannot be built: {error}'
        ) from error
    # init_model would load what fits and draw noise for the rest.
    meta = load_weights(model, checkpoint, config)
    model.dataset_meta = meta.get('dataset_meta', model.dataset_meta)
    return model

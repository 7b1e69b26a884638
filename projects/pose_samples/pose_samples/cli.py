"""The command line: ``python -m pose_samples``."""

import argparse
import sys

from .generate import generate
from .layouts import DIFFICULTIES, LAYOUTS


# fmt: off
def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog='pose_samples', description='Draw people or animals with known '
        'keypoints, laid out like public datasets.')
    add = parser.add_argument
    add('out', help='folder to write to, such as data')
    add('--layout', nargs='+', default=['coco'], choices=tuple(LAYOUTS),
        help='datasets to imitate (default: coco)')
    add('--num-train', type=int, default=1000, metavar='N',
        help='images to train with (default: 1000)')
    add('--num-val', type=int, default=100, metavar='M',
        help='images to validate with (default: 100)')
    add('--seed', type=int, default=0, help='same seed, same files')
    add('--difficulty', default='normal', choices=DIFFICULTIES,
        help='easy: people stand or walk, face the viewer (animals: show '
        'their side) and are seen whole; hard: twice as much is cut, hidden '
        'and cluttered as normal (default: normal)')
    add('--max-people', type=int, metavar='K',
        help='most people or animals in one image (default: as usual in the '
        'dataset)')
    add('--image-size', type=int, nargs=2, metavar=('W', 'H'),
        help='width and height of all images (default: sizes vary)')
    add('--workers', type=int, default=1, help='processes that draw')
    add('--overwrite', action='store_true',
        help='replace data that an earlier call wrote with other options')
    return parser
# fmt: on


def main(argv: list[str] | None = None) -> int:
    """Draw, say where the files are, and return the exit code."""
    args = make_parser().parse_args(argv)
    options = vars(args)
    out, layouts = options.pop('out'), options.pop('layout')
    try:
        results = generate(out, layouts, **options, progress=True)
    except KeyboardInterrupt:
        print('pose_samples: interrupted', file=sys.stderr)
        return 130
    except OSError as error:
        where = '' if error.filename is None else f'{error.filename}: '
        print(
            f'pose_samples: {where}{error.strerror or error}', file=sys.stderr
        )
        return 2
    except ValueError as error:
        print(f'pose_samples: {error}', file=sys.stderr)
        return 2
    for result in results:
        verb = 'wrote' if result.is_new else 'already complete:'
        print(
            f'{verb} {result.folder} ({", ".join(result.layouts)}; '
            f'{result.num_images} images)'
        )
    return 0

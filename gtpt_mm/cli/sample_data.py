"""``gtpt-mm sample-data``: draw data to train and test with."""

import argparse
import sys

HELP = 'draw people or animals with known keypoints, laid out like COCO etc.'
LAYOUT_NAMES = (
    'coco', 'coco-wholebody', 'mpii', 'aic', 'crowdpose', 'ap10k', 'apt36k',
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('out', help='folder to write to, such as data')
    parser.add_argument(
        '--layout',
        nargs='+',
        default=['coco'],
        choices=LAYOUT_NAMES,
        help='data sets to imitate (default: coco)',
    )
    parser.add_argument(
        '--num-train',
        type=int,
        default=1000,
        metavar='N',
        help='images to train with (default: 1000)',
    )
    parser.add_argument(
        '--num-val',
        type=int,
        default=100,
        metavar='M',
        help='images to validate with (default: 100)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='same seed, same files'
    )
    parser.add_argument(
        '--difficulty',
        default='normal',
        choices=('easy', 'normal', 'hard'),
        help='easy: people stand or walk, face the viewer (animals: show '
        'their side) and are seen whole; hard: twice as much is cut, '
        'hidden and cluttered as normal (default: normal)',
    )
    parser.add_argument(
        '--max-people',
        type=int,
        metavar='K',
        help='most people or animals in one image (default: as usual in the '
        'data set)',
    )
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        metavar=('W', 'H'),
        help='width and height of all images (default: sizes vary)',
    )
    parser.add_argument(
        '--workers', type=int, default=1, help='processes that draw'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace data that an earlier call wrote with other options',
    )


def run(args: argparse.Namespace) -> int:
    """Draw and tell where the files are."""
    from ..datasets.synthetic import generate

    try:
        results = generate(
            args.out,
            args.layout,
            args.num_train,
            args.num_val,
            args.seed,
            difficulty=args.difficulty,
            max_people=args.max_people,
            image_size=args.image_size and tuple(args.image_size),
            workers=args.workers,
            overwrite=args.overwrite,
            progress=True,
        )
    except (ValueError, FileExistsError) as error:
        print(f'gtpt-mm sample-data: {error}', file=sys.stderr)
        return 2
    for result in results:
        what = 'wrote' if result.is_new else 'already complete:'
        print(
            f'{what} {result.folder} ({", ".join(result.layouts)}; '
            f'{result.num_images} images)'
        )
    return 0

"""``gtpt-mm sample-data``: draw data to train and test with.

``pose_samples``, a separate distribution, draws them in its own process and
defines the options.
"""

import argparse
import importlib.util
import subprocess
import sys

HELP = 'draw people or animals with known keypoints, laid out like COCO etc.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Hand every argument through, ``--help`` included."""
    parser.prefix_chars = ''
    parser.add_argument('args', nargs=argparse.REMAINDER)


def run(args: argparse.Namespace) -> int:
    """Run ``python -m pose_samples`` and return its exit code."""
    spec = importlib.util.find_spec('pose_samples')
    # The folder of that name in projects/ would count as a namespace package.
    if spec is None or spec.origin is None:
        print(
            'gtpt-mm sample-data: needs pose_samples; in a clone of gtpt_mm, '
            'make setup or pip install ./projects/pose_samples installs it',
            file=sys.stderr,
        )
        return 2
    return subprocess.call([sys.executable, '-m', 'pose_samples', *args.args])

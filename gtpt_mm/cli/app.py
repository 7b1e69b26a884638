"""``gtpt-mm app``: a page in the browser."""

import argparse

from .common import add_runtime

HELP = 'open a page in the browser: a picture or video in, its people out'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        '--model',
        nargs='+',
        help='names, configs or packed folders to choose from (default: all '
        'names)',
    )
    parser.add_argument(
        '--weights',
        default='',
        help="file of weights, or 'random' to try the page without any "
        '(default: the public ones)',
    )
    parser.add_argument(
        '--detector',
        default='whole_image',
        help='detector of people at the start (default: whole_image)',
    )
    parser.add_argument(
        '--device', default='auto', help='cpu, cuda, cuda:1, ... or auto'
    )
    add_runtime(parser)
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to serve at; 0.0.0.0 for all addresses of this machine '
        '(default: 127.0.0.1)',
    )
    parser.add_argument(
        '--port', type=int, help='port (default: the first free from 7860)'
    )
    parser.add_argument(
        '--open', action='store_true', help='also open the browser'
    )


def run(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    from gtpt_mm.apis.page import build_page, launch

    try:
        page = build_page(
            args.model, args.weights, args.device, args.detector, args.runtime
        )
    except ImportError as error:
        raise ValueError(str(error)) from error
    launch(page, args.host, args.port, inbrowser=args.open)
    return 0

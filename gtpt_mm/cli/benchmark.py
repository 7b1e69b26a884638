"""``gtpt-mm benchmark``: how large, fast and hungry models are."""

import argparse
import sys
from pathlib import Path

HELP = 'Measure size, speed and memory of models side by side.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'models',
        nargs='+',
        metavar='MODEL',
        help="a config's path, the name of a config of gtpt_mm or mmpose, or "
        "an alias of mmpose's zoo; behind it, changes to the config as for "
        '--cfg-options (model.backbone.keep_rates=[1,1,1,1]) and label=NAME. '
        'The first model is what the others are compared to',
    )
    parser.add_argument(
        '--batch-sizes',
        type=int,
        nargs='+',
        default=[1, 32],
        metavar='N',
        help='images of an inference call (default: 1 32)',
    )
    parser.add_argument(
        '--train',
        type=int,
        nargs='*',
        metavar='N',
        help='also time training steps (forward, loss, backward) with N '
        'images (default: the sizes of --batch-sizes)',
    )
    parser.add_argument(
        '--dtypes',
        nargs='+',
        default=['fp32'],
        metavar='DTYPE',
        help='fp32, bf16, fp16 (default: fp32)',
    )
    parser.add_argument(
        '--device', default='cpu', help='cpu (default), cuda or cuda:1'
    )
    parser.add_argument(
        '--compile',
        nargs='?',
        const='default',
        metavar='MODE',
        help='also measure with torch.compile; MODE is default, '
        'reduce-overhead, ...',
    )
    parser.add_argument(
        '--fuse',
        action='store_true',
        help='also measure after fuse',
    )
    parser.add_argument(
        '--input-size',
        type=int,
        nargs=2,
        metavar=('W', 'H'),
        help='input in pixels, for configs that do not tell',
    )
    parser.add_argument(
        '--threads', type=int, help='CPU threads (default: as PyTorch has)'
    )
    parser.add_argument(
        '--clock',
        default='wall',
        help='on a CPU: wall (default), or cpu, the time that this process '
        'got, for busy machines; cpu needs --threads 1',
    )
    parser.add_argument(
        '--repeats', type=int, default=10, help='timed calls (default: 10)'
    )
    parser.add_argument(
        '--warmup', type=int, default=3, help='calls before (default: 3)'
    )
    parser.add_argument(
        '--time-limit',
        type=float,
        default=60.0,
        metavar='S',
        help='give up a setting in which a warm-up call takes more seconds '
        '(default: 60)',
    )
    parser.add_argument(
        '--count-only',
        action='store_true',
        help='only parameters and MACs, no timing',
    )
    parser.add_argument('--json', type=Path, help='write all figures there')
    parser.add_argument('--plot', type=Path, help='write a picture there')


def run(args: argparse.Namespace) -> int:
    """Print the tables; return 1 if a model did not run eagerly in fp32."""
    from gtpt_mm.benchmark import format_report, plot_report, to_json

    benchmark = _measure(args)
    print(format_report(benchmark))
    if args.json:
        args.json.write_text(to_json(benchmark) + '\n')
    timed = any(row.error is None for row in benchmark.rows)
    if args.plot and timed:
        plot_report(benchmark, args.plot)
    return 0 if benchmark.complete else 1


def _measure(args: argparse.Namespace):
    """Check everything that can be checked first, then measure."""
    from gtpt_mm.benchmark import (
        Settings,
        check_plot_file,
        load_network,
        parse_models,
        run_benchmark,
    )

    settings = Settings(
        batch_sizes=[] if args.count_only else args.batch_sizes,
        train_batch_sizes=_train_batch_sizes(args),
        dtypes=args.dtypes,
        device=args.device,
        threads=args.threads,
        clock=args.clock,
        repeats=args.repeats,
        warmup=args.warmup,
        time_limit=args.time_limit,
        compile_mode=args.compile,
        fuse=args.fuse,
    )
    if args.plot and args.count_only:
        raise ValueError('--count-only times nothing that --plot could draw')
    if args.plot:
        check_plot_file(args.plot)
    for file in filter(None, (args.json, args.plot)):
        file.parent.mkdir(parents=True, exist_ok=True)
    size = tuple(args.input_size) if args.input_size else None
    networks = [
        load_network(choice, size) for choice in parse_models(args.models)
    ]
    return run_benchmark(
        networks, settings, lambda message: print(message, file=sys.stderr)
    )


def _train_batch_sizes(args: argparse.Namespace) -> list[int]:
    if args.train is None or args.count_only:
        return []
    return args.train or args.batch_sizes

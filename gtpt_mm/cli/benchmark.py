"""``gtpt-mm benchmark``: size, speed and memory of models."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import add_no_config_check, add_overwrite, check_target

if TYPE_CHECKING:
    from gtpt_mm.benchmark import Benchmark

HELP = 'Measure size, speed and memory of models side by side.'
MODELS_HELP = (
    "a config's path, a name such as gtpt-t, the name of a config of gtpt_mm "
    "or mmpose, or an alias of mmpose's zoo; behind it, changes to the config "
    'as for --cfg-options '
    '(model.backbone.keep_rates=[1,1,1,1]) and label=NAME. The first model '
    'is what the others are compared to'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    add = parser.add_argument
    counts: dict[str, Any] = dict(type=int, metavar='N')
    # fmt: off
    add('models', nargs='+', metavar='MODEL', help=MODELS_HELP)
    add('--batch-sizes', nargs='+', default=[1, 32], **counts,
        help='images of an inference call (default: 1 32)')
    add('--train', nargs='*', **counts,
        help='also time training steps (forward, loss, backward) with N '
        'images (default: the sizes of --batch-sizes)')
    add('--dtypes', nargs='+', default=['fp32'], metavar='DTYPE',
        help='fp32, bf16, fp16 (default: fp32)')
    add('--device', default='cpu', help='cpu (default), cuda or cuda:1')
    add('--compile', nargs='?', const='default', metavar='MODE',
        help='also measure with torch.compile; MODE is default, '
        'reduce-overhead, ...')
    add('--fuse', action='store_true', help='also measure after fuse')
    add('--input-size', type=int, nargs=2, metavar=('W', 'H'),
        help='input in pixels, for configs without one')
    add('--threads', type=int, help='CPU threads (default: as PyTorch has)')
    add('--clock', default='wall',
        help='on a CPU: wall (default), or cpu, the time that this process '
        'got, for busy machines; cpu needs --threads 1')
    add('--repeats', type=int, default=10, help='timed calls (default: 10)')
    add('--warmup', type=int, default=3, help='calls before (default: 3)')
    add('--time-limit', type=float, default=60.0, metavar='S',
        help='give up a case in which a warm-up call takes more seconds '
        '(default: 60)')
    add('--count-only', action='store_true',
        help='only parameters and MACs, no timing')
    add('--loader', type=Path, metavar='ANN',
        help="only time the training pipelines, step by step, beside mmpose's,"
        " on the pictures of these annotations in COCO's format")
    add('--json', type=Path, help='write all figures there')
    add('--plot', type=Path, help='write a picture there')
    # fmt: on
    add_overwrite(parser)
    add_no_config_check(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tables; return 1 if a model did not run eagerly in fp32."""
    from gtpt_mm.benchmark import format_report, plot_report, to_json
    from gtpt_mm.compat.files.atomic_file import atomic_write

    if args.loader:
        return _print_loaders(args)
    benchmark = _measure(args)
    print(format_report(benchmark))
    if args.json:
        with atomic_write(args.json) as file:
            file.write_text(to_json(benchmark) + '\n', encoding='utf-8')
    if args.plot and any(t.error is None for t in benchmark.timings):
        with atomic_write(args.plot) as file:
            plot_report(benchmark, file)
    return 0 if benchmark.complete else 1


def _print_loaders(args: argparse.Namespace) -> int:
    from gtpt_mm.benchmark import format_loaders, parse_models, time_loaders

    choices = parse_models(args.models)
    loaders = time_loaders(choices, args.loader, args.clock, args.repeats)
    print(format_loaders(loaders))
    return 0


def _measure(args: argparse.Namespace) -> 'Benchmark':
    """Check everything that can be checked first, then measure."""
    from gtpt_mm.benchmark import (
        BenchmarkConfig,
        check_plot_file,
        load_network,
        parse_models,
        run_benchmark,
    )

    times_training = args.train is not None and not args.count_only
    config = BenchmarkConfig(
        batch_sizes=[] if args.count_only else args.batch_sizes,
        train_batch_sizes=(args.train or args.batch_sizes)
        if times_training
        else [],
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
    if args.json and args.json == args.plot:
        raise ValueError(f'--json and --plot both write {args.json}')
    for file in filter(None, (args.json, args.plot)):
        check_target(file, args.overwrite)
    size = tuple(args.input_size) if args.input_size else None
    networks = [
        load_network(choice, size, args.config_check)
        for choice in parse_models(args.models)
    ]
    for file in filter(None, (args.json, args.plot)):
        file.parent.mkdir(parents=True, exist_ok=True)
    return run_benchmark(
        networks, config, lambda message: print(message, file=sys.stderr)
    )

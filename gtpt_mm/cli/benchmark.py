"""``gtpt-mm benchmark``: size, speed and memory of models."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import add_no_config_check, add_overwrite, check_target

if TYPE_CHECKING:
    from gtpt_mm.benchmark import (
        AccuracyConfig,
        Benchmark,
        BenchmarkConfig,
        ModelChoice,
    )

HELP = 'Measure size, speed and memory of models side by side.'
MODELS_HELP = (
    "a config's path, a name such as gtpt-t, the name of a config of gtpt_mm "
    "or mmpose, or an alias of mmpose's zoo; hf:NAME or hf:FOLDER for a "
    'VitPose of transformers; the path of an ONNX file; after it, changes to '
    'the config as for --cfg-options (model.backbone.keep_rates=[1,1,1,1]), '
    'weights=FILE or weights=public, label=NAME, and config=NAME for the '
    'pipeline and decoder of an ONNX file. The others are compared with the '
    'first model'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    add = parser.add_argument
    counts: dict[str, Any] = dict(type=int, metavar='N')
    # fmt: off
    add('models', nargs='+', metavar='MODEL', help=MODELS_HELP)
    add('--batch-sizes', nargs='+', default=[1, 32], **counts,
        help='images per inference call (default: 1 32)')
    add('--train', nargs='*', **counts,
        help='also time training steps (forward, loss, backward) with N '
        'images (default: the sizes of --batch-sizes)')
    add('--runtime', nargs='+', default=['torch'], metavar='RUNTIME',
        help='torch (default), compile, onnxruntime, openvino; models are '
        'exported for the last two, and the files checked')
    add('--precision', nargs='+', default=['fp32'], metavar='PRECISION',
        help='fp32 (default), bf16, fp16, int8; each runtime uses those '
        'that it supports')
    add('--device', default='cpu', help='cpu (default), cuda or cuda:1')
    add('--compile-mode', default='default', metavar='MODE',
        help='mode of --runtime compile: default, reduce-overhead, ...')
    add('--fuse', action='store_true',
        help='also measure torch and compile with fused models')
    add('--data', type=Path, metavar='ANN',
        help="annotations in COCO's format: also test the models that have "
        'weights, in each runtime')
    add('--images', type=Path, metavar='DIR',
        help='pictures of --data (default: images beside it)')
    add('--metric', default='AP', help='metric of --data: AP (default), or '
        'PCK at 0.2 of the box')
    add('--boxes', type=Path, metavar='FILE',
        help="detected boxes, COCO's format (default: those of --data)")
    add('--flip-test', choices=['on', 'off'],
        help='flip test of --data, for all models (default: as in the '
        'configs, which must agree)')
    add('--input-size', type=int, nargs=2, metavar=('W', 'H'),
        help='input in pixels, for configs without one')
    add('--threads', type=int, help="CPU threads (default: PyTorch's number)")
    add('--clock', default='wall',
        help='on a CPU: wall (default), or cpu, the processor time of this '
        'process, for busy machines; cpu needs --threads 1')
    add('--repeats', type=int, default=10, help='timed calls (default: 10)')
    add('--warmup', type=int, default=3,
        help='calls before the timed ones (default: 3)')
    add('--time-limit', type=float, default=60.0, metavar='S',
        help='give up a case if a warm-up call takes more seconds '
        '(default: 60)')
    add('--count-only', action='store_true',
        help='only parameters and MACs, no timing')
    add('--loader', type=Path, metavar='ANN',
        help='only time the training pipelines, step by step, and compare '
        "them with mmpose's, on the pictures of these annotations in COCO's "
        'format')
    add('--json', type=Path, help='write all figures to this file')
    add('--plot', type=Path, help='plot the times to this file')
    add('--plot-accuracy', type=Path, metavar='FILE',
        help='plot accuracy over latency to this file: measured or, hollow, '
        'as stated in the papers')
    # fmt: on
    add_overwrite(parser)
    add_no_config_check(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tables; return 1 if a model failed in the base case."""
    from gtpt_mm.benchmark import (
        format_report,
        plot_accuracy,
        plot_report,
        to_json,
    )
    from gtpt_mm.compat.files.atomic_file import atomic_write

    if args.loader:
        return _print_loaders(args)
    benchmark = _measure(args)
    print(format_report(benchmark))
    if args.json:
        with atomic_write(args.json) as file:
            file.write_text(to_json(benchmark) + '\n', encoding='utf-8')
    if any(t.error is None for t in benchmark.timings):
        for path, draw in (
            (args.plot, plot_report),
            (args.plot_accuracy, plot_accuracy),
        ):
            if path:
                with atomic_write(path) as file:
                    draw(benchmark, file)
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
        check_known,
        load_network,
        parse_models,
        run_benchmark,
    )

    config, accuracy = _make_config(args), _make_accuracy(args)
    files = _check_files(args)
    size = tuple(args.input_size) if args.input_size else None
    networks = [
        load_network(_find_weights(choice), size, args.config_check)
        for choice in parse_models(args.models)
    ]
    if args.plot_accuracy:
        check_known(networks, accuracy is not None)
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    return run_benchmark(
        networks,
        config,
        lambda message: print(message, file=sys.stderr),
        accuracy,
    )


def _make_config(args: argparse.Namespace) -> 'BenchmarkConfig':
    from gtpt_mm.benchmark import BenchmarkConfig

    times_training = args.train is not None and not args.count_only
    return BenchmarkConfig(
        batch_sizes=[] if args.count_only else args.batch_sizes,
        train_batch_sizes=(args.train or args.batch_sizes)
        if times_training
        else [],
        runtimes=args.runtime,
        precisions=args.precision,
        device=args.device,
        threads=args.threads,
        clock=args.clock,
        repeats=args.repeats,
        warmup=args.warmup,
        time_limit=args.time_limit,
        compile_mode=args.compile_mode,
        fuse=args.fuse,
    )


def _make_accuracy(args: argparse.Namespace) -> 'AccuracyConfig | None':
    from gtpt_mm.benchmark import AccuracyConfig

    if args.data is None:
        for name in ('images', 'boxes', 'flip_test'):
            if getattr(args, name):
                raise ValueError(
                    f'--{name.replace("_", "-")} belongs to --data ANN'
                )
        return None
    if args.count_only:
        raise ValueError('--count-only runs nothing that --data could test')
    return AccuracyConfig(
        args.data,
        args.images or args.data.parent / 'images',
        args.metric,
        args.boxes,
        None if args.flip_test is None else args.flip_test == 'on',
    )


def _check_files(args: argparse.Namespace) -> list[Path]:
    """Return the files that will be written; check that they can be."""
    from gtpt_mm.benchmark import check_plot_file

    given = {
        name: getattr(args, name.strip('-').replace('-', '_'))
        for name in ('--json', '--plot', '--plot-accuracy')
    }
    files = {name: path for name, path in given.items() if path}
    for name, path in files.items():
        if name != '--json' and args.count_only:
            raise ValueError(
                f'--count-only times nothing that {name} could draw'
            )
        if name != '--json':
            check_plot_file(path)
        for other in files:
            if other != name and files[other] == path:
                raise ValueError(f'{name} and {other} both write {path}')
    for path in files.values():
        check_target(path, args.overwrite)
    return list(files.values())


def _find_weights(choice: 'ModelChoice') -> 'ModelChoice':
    """Return a choice with weights that are a file, a folder or a URL."""
    from gtpt_mm.apis.model_names import resolve

    weights = choice.weights
    if weights is None or Path(weights).exists() or '://' in weights:
        return choice
    if choice.is_hugging_face:
        name = choice.source.removeprefix('hf:')
        found: str | None = name if weights == 'public' else weights
    else:
        given = None if weights == 'public' else weights
        _, found = resolve(choice.source, given)
    return dataclasses.replace(choice, weights=found)

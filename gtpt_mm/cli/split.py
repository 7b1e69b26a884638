"""``gtpt-mm split``: a plain model for each dataset of a ViTPose++."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from .common import (
    add_overwrite,
    build_model,
    check_target,
    load_weights,
    read_config,
)

HELP = 'Write config and checkpoint of each dataset of a ViTPose++.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument('config', type=Path, help='config of the training')
    parser.add_argument('checkpoint', type=Path, help='its checkpoint')
    parser.add_argument(
        'out', type=Path, help='folder for NAME.py and NAME.pth'
    )
    parser.add_argument(
        '--dataset',
        nargs='+',
        metavar='NAME',
        help='datasets to split off (default: all)',
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Write the files and print their names."""
    from gtpt_mm.compat.files.atomic_file import atomic_write
    from gtpt_mm.convert import save_state_dict, split_config, split_model

    cfg = read_config(args.config)
    head = cfg.model.get('head') or {}
    names = list(dict.fromkeys(args.dataset or head.get('names') or ['?']))
    for name in names:  # all errors before the first file
        split_config(cfg, name)
        for suffix in ('.py', '.pth'):
            check_target(args.out / f'{name}{suffix}', args.overwrite)
    model = build_model(cfg, args.config)
    metainfo = load_weights(model, str(args.checkpoint), args.config).get(
        'dataset_meta', {}
    )
    args.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:  # all of them or, if one fails, none
        for name in names:
            config, weights = (
                files.enter_context(atomic_write(args.out / f'{name}{suffix}'))
                for suffix in ('.py', '.pth')
            )
            dense = split_model(model, cfg, name)
            meta = dict(split_from=args.checkpoint.name)
            if name in metainfo.get('datasets', {}):
                meta['dataset_meta'] = metainfo['datasets'][name]
            save_state_dict(weights, dense.state_dict(), meta)
            dense.cfg.dump(config)
    for name in names:
        print(f'wrote {args.out / name}.py and .pth')
    return 0

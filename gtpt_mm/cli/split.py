"""``gtpt-mm split``: a plain model for each dataset of a ViTPose++."""

import argparse
import pickle
import sys
from pathlib import Path

HELP = 'Write config and checkpoint of each dataset of a ViTPose++.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument('config', type=Path, help='config of the training')
    parser.add_argument('checkpoint', type=Path, help='checkpoint of it')
    parser.add_argument(
        'out', type=Path, help='folder for NAME.py and NAME.pth'
    )
    parser.add_argument(
        '--dataset',
        nargs='+',
        metavar='NAME',
        help='which datasets (default: all)',
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace existing files'
    )


def run(args: argparse.Namespace) -> int:
    """Write the files; print their names; return 2 on bad input."""
    try:
        _split(args)
    except (
        ValueError, RuntimeError, OSError, pickle.UnpicklingError
    ) as error:  # fmt: skip
        print(f'gtpt-mm split: {error}', file=sys.stderr)
        return 2
    return 0


def _split(args: argparse.Namespace) -> None:
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner.checkpoint import load_checkpoint
    from mmpose.registry import MODELS

    from gtpt_mm.convert import split_config, split_model

    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    names = args.dataset or cfg.model.head.get('names', ['?'])
    for name in names:  # all errors before the first file
        split_config(cfg, name)
        for suffix in ('.py', '.pth'):
            path = args.out / f'{name}{suffix}'
            if path.exists() and not args.overwrite:
                raise ValueError(
                    f'{path} exists; give --overwrite to replace it'
                )
    model = MODELS.build(cfg.model)
    checkpoint = load_checkpoint(
        model, str(args.checkpoint), map_location='cpu', strict=True
    )
    metainfo = checkpoint.get('meta', {}).get('dataset_meta', {})
    args.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        dense = split_model(model, cfg, name)
        meta = dict(split_from=args.checkpoint.name)
        if name in metainfo.get('datasets', {}):
            meta['dataset_meta'] = metainfo['datasets'][name]
        torch.save(
            dict(meta=meta, state_dict=dense.state_dict()),
            args.out / f'{name}.pth',
        )
        dense.cfg.dump(args.out / f'{name}.py')
        print(f'wrote {args.out / name}.py and .pth')

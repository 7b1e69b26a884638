"""``gtpt-mm download``: fetch public weights by name."""

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from .common import add_overwrite, check_folder, check_target

if TYPE_CHECKING:
    from gtpt_mm.apis.weights import StoredWeights

HELP = 'Fetch public weights by name, convert them and keep them in a cache.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help='names such as vitpose-b; --list shows all',
    )
    parser.add_argument(
        '--list',
        action='store_true',
        help='list all weights, with licence, source and whether they are in '
        'the cache',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='also write NAME.safetensors to this folder, with its SHA-256 '
        'beside it: for GTPT_MM_WEIGHTS on computers without network, or for '
        'a mirror',
    )
    parser.add_argument(
        '--refresh',
        action='store_true',
        help='fetch weights again even if they are in the cache',
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch the weights and print their files."""
    from gtpt_mm.apis import weights
    from gtpt_mm.config_names import find_model, suggest

    if args.list:
        _print_list()
        return 0
    if not args.names:
        raise ValueError('give names of weights, or --list')
    names = []
    for name in args.names:
        model = find_model(name)
        if model is None:
            raise ValueError(f'there is no model {name!r}; {suggest(name)}')
        names.append(model.name)
    if args.out:
        check_folder(args.out)
        for name in names:
            check_target(_target(args.out, name), args.overwrite)
    for name in names:
        stored = weights.get_weights(name, args.refresh)
        print(f'{name}: {stored.source} ({stored.licence or "no licence"})')
        print(f'  {stored.path}\n  SHA-256: {stored.sha256}')
        if args.out:
            _copy(stored, _target(args.out, name))
        elif name in weights.PUBLIC and not weights.PUBLIC[name].model:
            print(
                '  start a training from it: --cfg-options '
                'model.backbone.init_cfg.type=MAEPretrained '
                f'model.backbone.init_cfg.checkpoint={stored.path}'
            )
    return 0


def _target(folder: Path, name: str) -> Path:
    return folder / f'{name}.safetensors'


def _copy(stored: 'StoredWeights', target: Path) -> None:
    """Copy weights, and write their hash beside them."""
    from gtpt_mm.apis.weights import HASH
    from gtpt_mm.compat.files.atomic_file import atomic_write

    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        shutil.copyfile(stored.path, file)
    with atomic_write(target.with_name(f'{target.name}{HASH}')) as file:
        file.write_text(f'{stored.sha256}  {target.name}\n')
    print(f'  -> {target}')


def _print_list() -> None:
    from gtpt_mm.apis.weights import DRIVES, PUBLIC, cache_folder

    folder = cache_folder()
    width = max(map(len, [*PUBLIC, *DRIVES]))
    for name, entry in PUBLIC.items():
        place = 'cached' if (folder / f'{name}.json').is_file() else ''
        print(f'{name:{width}}  {entry.licence:12}  {place:6}  {entry.page}')
    print('\nOn drives, to be downloaded by hand and converted:')
    for name, drive in DRIVES.items():
        if name not in PUBLIC:
            print(f'{name:{width}}  {drive.licence:12}  {drive.page}')

"""``gtpt-mm convert``: import and export checkpoints."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .common import add_overwrite, check_folder, check_target, read_config

if TYPE_CHECKING:
    from gtpt_mm.convert import Source

HELP = (
    'Convert a checkpoint between this project and others; the names of its '
    'tensors identify its source.'
)
TARGETS = ('native', 'official', 'mmpose', 'huggingface')
#: How names of files with weights end; others are folders for transformers.
FILES = ('.safetensors', '.pth', '.pt', '.bin', '.ckpt')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument('source', type=Path, help='checkpoint to read')
    parser.add_argument(
        'target',
        type=Path,
        help='checkpoint to write; with --to huggingface also the folder of '
        'a whole model (a name without .safetensors or .pth)',
    )
    parser.add_argument(
        '--to',
        choices=TARGETS,
        default='native',
        help='format of the target; default native',
    )
    parser.add_argument(
        '--dataset',
        help='for a ViTPose++: split off the plain ViTPose of this dataset; '
        'released files have coco, aic, mpii, ap10k, apt36k, wholebody',
    )
    _add_folder_arguments(parser)
    _add_mae_arguments(parser)
    parser.add_argument(
        '--half',
        choices=('ema', 'model'),
        help='for an official GTPT: averaged weights (the default, as in the '
        'paper) or trained weights',
    )
    parser.add_argument(
        '--weights',
        choices=('averaged', 'trained'),
        help='for a checkpoint of a training with an average (EMA): the set '
        'of weights to convert; default averaged',
    )
    add_overwrite(parser)


def _add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a folder for transformers."""
    parser.add_argument(
        '--config',
        type=Path,
        help='for a folder of huggingface: config of the model, by path or '
        'name; default: the one saved in the checkpoint',
    )
    parser.add_argument(
        '--head',
        metavar='DATASET',
        help='for a folder of huggingface with a ViTPose++: the head that is '
        'kept beside all experts; default: that of the added dataset, else '
        'coco',
    )


def _add_mae_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of an MAE encoder."""
    parser.add_argument(
        '--img-size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='for an MAE encoder: input size in pixels, to which its '
        'positions are resized; default 256 192',
    )
    parser.add_argument(
        '--patch-padding',
        choices=('pad', 'bilinear', 'bicubic'),
        help='for an MAE encoder with patches of 14 x 14: how they become '
        '16 x 16; default pad (zeros)',
    )


def run(args: argparse.Namespace) -> int:
    """Convert one file and print what was done."""
    from gtpt_mm import convert
    from gtpt_mm.compat.files.loaded_tensors import check_finite

    is_folder = _is_folder(args)
    _check_target(args, is_folder)
    state_dict, trained = convert.read_state_dicts(args.source)
    source = convert.find_source(state_dict)
    if not source:
        raise ValueError(
            'neither a native or official GTPT or Group Pose, nor a ViTPose '
            '(native, official, mmpose or huggingface), nor an MAE encoder; '
            f'the first keys are {list(state_dict)[:5]}'
        )
    print(f'source: {source}')
    _check_options(args, source)
    if args.weights:
        state_dict = _choose_weights(state_dict, trained, args)
    elif trained is not None and source.model != 'GTPT':
        print(
            'left out: ema_state_dict, the trained weights behind the '
            'average; the average is converted'
        )
    if is_folder:
        return _hand_back(state_dict, source, args)
    written, meta = _convert(state_dict, trained, source, args)
    check_finite(written, f'the weights of {args.source}')
    if meta is not None:
        meta = dict(converted_from=args.source.name, **meta)
    convert.write_state_dict(args.target, written, meta)
    print(
        f'{args.source} -> {args.target}: {len(written)} tensors with '
        f'{args.to} names'
    )
    print(f'SHA-256: {convert.find_sha256(args.target)}')
    return 0


def _is_folder(args: argparse.Namespace) -> bool:
    """Return whether the target is a folder for transformers."""
    is_file = args.target.suffix in FILES or args.target.is_file()
    if args.to == 'huggingface' and not is_file:
        return True
    for option in ('config', 'head'):
        if getattr(args, option) is not None:
            raise ValueError(
                f'--{option} has an effect on a folder of --to huggingface '
                'only; name a target without suffix'
            )
    return False


def _check_target(args: argparse.Namespace, is_folder: bool) -> None:
    """Raise if the target cannot be written, or is there already."""
    if not is_folder:
        check_target(args.target, args.overwrite)
        if args.target.suffix == FILES[0] and args.to == 'official':
            raise ValueError(
                f'--to official cannot write {FILES[0]}, which the official '
                'code does not read; name a .pth'
            )
        return
    check_folder(args.target)
    is_used = args.target.is_dir() and any(args.target.iterdir())
    if is_used and not args.overwrite:
        raise ValueError(
            f'{args.target} is not empty; give --overwrite to replace the '
            'model in it, or another name'
        )


def _hand_back(
    state_dict: dict, source: 'Source', args: argparse.Namespace
) -> int:
    """Write a folder for transformers and print what was done."""
    from gtpt_mm import convert
    from gtpt_mm.compat.files.loaded_tensors import check_finite

    native, _ = _make_native(state_dict, source, args)
    head, dataset = args.head, args.dataset
    if convert.find_datasets(native):
        dataset = head = convert.choose_head(native, head)
    meta = convert.read_checkpoint(args.source).get('meta')
    cfg: Mapping = convert.read_saved_config(meta)
    keypoints = convert.find_names(native, meta, args.source, dataset)
    if args.config:
        cfg = given = read_config(args.config)
        keypoints = convert.read_config_names(given, dataset)
    if keypoints is None:
        raise ValueError(
            f'{args.source} does not name its keypoints; give the config that '
            'it was trained with, --config FILE'
        )
    print(f'names of the keypoints: {keypoints.where}')
    names = keypoints.names
    check_finite(native, f'the weights of {args.source}')
    made = convert.hand_back(native, names, cfg, keypoints.links, head)
    convert.write_folder(args.target, made)
    print(
        f'{args.source} -> {args.target}: {len(made.weights)} tensors, '
        f'{len(names)} keypoints, input '
        f'{"x".join(map(str, made.config["backbone_config"]["image_size"]))}'
    )
    if dataset := made.config.get('dataset'):
        print(
            f'all experts and the head of {dataset["name"]}: predict with '
            f'dataset_index={dataset["index"]}'
        )
    for note in made.notes:
        print(note)
    print(f'SHA-256: {convert.find_sha256(args.target / "model.safetensors")}')
    return 0


def _choose_weights(
    state_dict: dict, trained: dict | None, args: argparse.Namespace
) -> dict:
    """Return the set of weights of ``--weights``.

    Raises:
        ValueError: If there is one set, or the target holds both.
    """
    if trained is None:
        raise ValueError(
            '--weights requires a checkpoint of a training with an EMA hook; '
            'this one has no ema_state_dict'
        )
    if args.to == 'official':
        raise ValueError(
            '--weights has no effect with --to official, which writes both '
            'sets of a GTPT; use --to native'
        )
    return trained if args.weights == 'trained' else state_dict


def _convert(
    state_dict: dict,
    trained: dict | None,
    source: 'Source',
    args: argparse.Namespace,
) -> tuple[dict, dict | None]:
    """Return weights and meta, None for official files of GTPT, Group Pose."""
    from gtpt_mm import convert

    if source.project == args.to and not args.dataset:  # --weights
        return state_dict, dict(weights=args.weights)
    if source.model in ('ViTPose', 'MAE encoder'):
        return _convert_vitpose(state_dict, source, args)
    if source.model == 'GTPT' and args.to == 'official':
        return convert.export_gtpt(state_dict, trained), None
    if source.model == 'GTPT':
        half = args.half or 'ema'
        return convert.convert_gtpt(state_dict, half), dict(half=half)
    if args.to == 'official':
        return convert.export_group_pose(state_dict), None
    return convert.convert_group_pose(state_dict), {}


def _check_options(args: argparse.Namespace, source: 'Source') -> None:
    """Raise if an option has no effect on this source."""
    is_mae = source.model == 'MAE encoder'
    for option, fits in (
        ('dataset', source.model == 'ViTPose'),
        ('img_size', is_mae),
        ('patch_padding', is_mae),
        ('half', source.model == 'GTPT' and source.project == 'official'),
    ):
        value = getattr(args, option)
        if value is not None and not fits:
            raise ValueError(
                f'--{option.replace("_", "-")} has no effect on this source: '
                f'{source}'
            )
    if is_mae and args.to not in ('native', 'mmpose'):
        raise ValueError(
            f'--to {args.to} requires a full model, got an encoder alone; '
            'use --to native or mmpose to start a training from it'
        )
    is_vitpose = is_mae or source.model == 'ViTPose'
    if not is_vitpose and args.to not in ('native', 'official'):
        raise ValueError(
            f'--to {args.to} requires a ViTPose, got a {source.model}'
        )
    if source.project == args.to and not (args.dataset or args.weights):
        raise ValueError(
            f'the source has {args.to} names already; choose another --to '
            f'of {list(TARGETS)}, or --weights'
        )


def _make_native(
    state_dict: dict, source: 'Source', args: argparse.Namespace
) -> tuple[dict, list[str]]:
    """Return a native ViTPose and the names left out; print what changed."""
    from gtpt_mm import convert

    left_out: list[str] = []
    if source.model == 'MAE encoder':
        state_dict, left_out = _convert_mae(state_dict, args)
    elif source.project != 'native':
        state_dict, left_out = convert.convert_vitpose(state_dict)
    if source.project in ('official', 'huggingface', 'timm'):
        print('the first row of the position table was added to the others')
    for name in left_out:
        print(f'left out, not used by the model: {name}')
    _describe_vitpose_plus(state_dict)
    if args.dataset:
        state_dict = convert.split_state_dict(state_dict, args.dataset)
        print(
            f'split: the expert and head of {args.dataset} are kept, all '
            'others left out'
        )
    return state_dict, left_out


def _convert_vitpose(
    state_dict: dict, source: 'Source', args: argparse.Namespace
) -> tuple[dict, dict | None]:
    """Return weights and meta of a ViTPose; print what was changed."""
    from gtpt_mm import convert

    state_dict, left_out = _make_native(state_dict, source, args)
    if args.to == 'native':
        meta = dict(layout=source.project, left_out=left_out)
        if args.dataset:
            meta['dataset'] = args.dataset
        return state_dict, meta
    state_dict, not_there = convert.export_vitpose(state_dict, args.to)
    for name in not_there:
        print(f'left out, not in the format {args.to}: {name}')
    if args.to == 'huggingface':
        print('for equal numbers configure layer_norm_eps=1e-6')
        return state_dict, None
    return state_dict, dict()


def _describe_vitpose_plus(state_dict: dict) -> None:
    """Say which datasets a ViTPose++ is for, and which heads are missing."""
    from gtpt_mm.convert import DATASETS, count_experts, find_datasets

    if num_experts := count_experts(state_dict):
        heads = find_datasets(state_dict)
        released = set(heads) <= set(DATASETS)
        missing = [name for name in DATASETS if released and name not in heads]
        print(
            f'a ViTPose++: {num_experts} experts, heads of {", ".join(heads)}'
            + (f'; none of {", ".join(missing)}' if missing else '')
        )


def _convert_mae(
    state_dict: dict, args: argparse.Namespace
) -> tuple[dict, list[str]]:
    """Return an encoder as a native backbone, and the names left out."""
    from gtpt_mm.convert import convert_mae, find_patch_grid

    grid_size = find_patch_grid(args.img_size or (256, 192))
    print(
        f'positions resized to the grid (h, w) = {grid_size}; the last norm '
        'of the model starts at one and zero'
    )
    return convert_mae(state_dict, grid_size, args.patch_padding or 'pad')

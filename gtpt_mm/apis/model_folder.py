"""A model in one folder, with only the files that a prediction requires.

    my_pose/
        model.safetensors   weights
        config.py           the resolved config; starts a fine-tuning from them
        model.json          keypoints, input, codec, SHA-256 of the weights
        README.md           a model card, as the Hugging Face Hub shows it

The folder may be moved and copied, and uploaded to the Hub as it is:
``hf://USER/NAME`` then stands for it.
"""

import copy
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS
from torch import nn

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.compat.files.loaded_tensors import check_finite, load_state_dict
from gtpt_mm.convert import find_sha256, read_state_dicts, write_state_dict
from gtpt_mm.version import __version__

from .weights.fetch import find_endpoint

CONFIG, WEIGHTS, FACTS, CARD = (
    'config.py',
    'model.safetensors',
    'model.json',
    'README.md',
)
#: Layout of ``model.json``; a reader refuses a later one.
FORMAT = 1
#: Prefix of the names of folders on the Hugging Face Hub.
HUB = 'hf://'
#: Entries of a config that belong to the training it comes from.
OF_THE_RUN = ('work_dir', 'resume', 'load_from', 'launcher')


def pack(
    config: str | Path | Config,
    checkpoint: str | Path,
    folder: str | Path,
    overwrite: bool = False,
) -> Path:
    """Write a trained model into a folder.

    Args:
        config: Config of the training.
        checkpoint: Its checkpoint, of ``torch.save`` or safetensors. If the
            training had an average, it is used, as in a test.
        folder: Folder to write; its parent need not exist.
        overwrite: Whether a packed model in the folder may be replaced.

    Returns:
        The folder.

    Raises:
        ValueError: If the weights do not fit the config or are not finite, or
            if the folder contains other files.
    """
    folder = Path(folder)
    _check_target(folder, overwrite)
    name = Path(config).stem if isinstance(config, str | Path) else 'model'
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    cfg = _make_movable(cfg)
    weights, _ = read_state_dicts(checkpoint)
    check_finite(weights, f'the weights of {checkpoint}')
    model = _build(cfg)
    try:
        load_state_dict(model, weights, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f'{checkpoint} does not hold the weights of {config}: {error}; '
            'give the config that it was trained with'
        ) from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        made = Path(place)
        write_state_dict(made / WEIGHTS, weights, None)
        facts = _describe(cfg, model, name)
        facts['sha256'] = find_sha256(made / WEIGHTS)
        _write_config(cfg, made / CONFIG)
        with atomic_write(made / FACTS) as file:
            file.write_text(json.dumps(facts, indent=2) + '\n')
        (made / CARD).write_text(_write_card(facts), encoding='utf-8')
        _move_files(made, folder)
    return folder


def read_folder(folder: str | os.PathLike) -> tuple[Config, Path]:
    """Read a packed model.

    Args:
        folder: A folder written by :func:`pack`, or ``hf://USER/NAME``,
            optionally followed by ``@REVISION``.

    Returns:
        Its config, and the file of its weights.

    Raises:
        ValueError: If a file is missing, torn or of a later format, or the
            weights differ from the packed ones.
    """
    folder = find_folder(folder)
    facts = read_facts(folder)
    weights = folder / WEIGHTS
    for file in (folder / CONFIG, weights):
        if not file.is_file():
            raise ValueError(
                f'{folder} has no {file.name}; copy the whole folder, or '
                'pack the model again'
            )
    if find_sha256(weights) != facts.get('sha256'):
        raise ValueError(
            f'{weights} is not the file that was packed: its SHA-256 differs '
            f'from that in {FACTS}; copy or download it again'
        )
    try:
        cfg = Config.fromfile(folder / CONFIG)
    except Exception as error:  # a config is a program
        raise ValueError(
            f'{folder / CONFIG} cannot be read as a config: '
            f'{type(error).__name__}: {error}; copy or download it again'
        ) from error
    if not isinstance(cfg.get('model'), dict):
        raise ValueError(
            f'{folder / CONFIG} has no model; copy or download it again'
        )
    return cfg, weights


def read_facts(folder: str | Path) -> dict[str, Any]:
    """Return the content of ``model.json``.

    Raises:
        ValueError: If it is missing, torn or of a later format.
    """
    path = Path(folder) / FACTS
    try:
        facts = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise ValueError(
            f'{folder} is not a packed model: it has no {FACTS}; '
            '`gtpt-mm pack` makes one from a config and a checkpoint'
        ) from error
    except ValueError as error:
        raise ValueError(f'{path} cannot be read: {error}') from error
    known = range(FORMAT + 1)
    if not isinstance(facts, dict) or facts.get('format', 0) not in known:
        raise ValueError(
            f'{path} is of a later format than this gtpt_mm ({__version__}) '
            'reads; update gtpt_mm'
        )
    return facts


def is_folder(model: Any) -> bool:
    """Tell whether a model is named by a packed folder or a Hub address."""
    if not isinstance(model, str | os.PathLike):
        return False
    return str(model).startswith(HUB) or (Path(model) / FACTS).is_file()


def find_folder(folder: str | os.PathLike) -> Path:
    """Return a local folder; a folder of the Hub is fetched into its cache.

    Raises:
        ValueError: If the address is malformed.
        ConnectionError: If it cannot be fetched.
    """
    address = str(folder)
    if not address.startswith(HUB):
        return Path(folder)
    match = re.fullmatch(r'hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?', address)
    if not match:
        raise ValueError(
            f'{address} is not of the form hf://USER/NAME or '
            'hf://USER/NAME@REVISION'
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                match[1],
                revision=match[2],
                endpoint=find_endpoint(),
                allow_patterns=[CONFIG, WEIGHTS, FACTS, CARD],
            )
        )
    except Exception as error:  # the client has many kinds
        raise ConnectionError(
            f'{address} cannot be fetched: {str(error).splitlines()[0]}'
        ) from error


def _check_target(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f'{folder} is a file; give the name of a folder')
    if any(folder.iterdir()):
        if not (folder / FACTS).is_file():
            raise ValueError(
                f'{folder} holds other files; give an empty or a new folder'
            )
        if not overwrite:
            raise ValueError(
                f'{folder} holds a packed model; allow overwriting to replace '
                'it (--overwrite)'
            )


def _make_movable(cfg: Config) -> Config:
    """Return a config that depends on no other file.

    Metainfo files are read into it; pretrained weights are not fetched, since
    those of the folder replace them.
    """
    cfg = copy.deepcopy(cfg)
    for entry in OF_THE_RUN:
        cfg.pop(entry, None)
    for part in _walk(cfg._cfg_dict):
        metainfo = part.get('metainfo')
        if isinstance(metainfo, dict) and 'from_file' in metainfo:
            part['metainfo'] = _read_metainfo(metainfo['from_file'])
    for part in _walk(cfg.model):
        init = part.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            part['init_cfg'] = None
    return cfg


def _walk(part: Any) -> Iterator[dict]:
    """Yield every dict in a config."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list | tuple):
        for one in part:
            yield from _walk(one)


def _read_metainfo(path: str) -> dict:
    """Return the content of a metainfo file, as mmpose reads it."""
    if Path(path).is_file():
        return Config.fromfile(path).dataset_info.to_dict()
    return dict(from_file=path)  # one of mmpose's own


def _build(cfg: Config) -> nn.Module:
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    try:
        return MODELS.build(copy.deepcopy(cfg.model))
    except Exception as error:  # whatever a constructor raises
        raise ValueError(
            f'the model of the config cannot be built: {error}'
        ) from error


def _write_config(cfg: Config, path: Path) -> None:
    """Write a config; a training with it starts from the folder's weights."""
    cfg.dump(path)
    # The folder's name may hold quotes; mmengine inserts it as it is.
    line = f"\nload_from = r'''{{{{ fileDirname }}}}/{WEIGHTS}'''\n"
    with path.open('a', encoding='utf-8') as file:
        file.write(line)


def _move_files(source: Path, target: Path) -> None:
    """Put finished files into a folder; the description comes last."""
    target.mkdir(exist_ok=True)
    (target / FACTS).unlink(missing_ok=True)
    for name in (WEIGHTS, CONFIG, CARD, FACTS):
        shutil.move(source / name, target / name)


# --------------------------------------------------------------- description


def _describe(cfg: Config, model: nn.Module, name: str) -> dict[str, Any]:
    """Return the content of ``model.json``, except the hash."""
    preprocessor = model.data_preprocessor
    decoder = getattr(model.head, 'decoder', None)
    size = getattr(decoder, 'input_size', None)
    dataset = cfg.train_dataloader.dataset
    parts = dataset.get('datasets')
    if isinstance(parts, dict):  # a ViTPose++
        names = [name for name in dataset['names'] if name in parts]
        datasets = {name: _describe_dataset(parts[name]) for name in names}
    else:
        one = _describe_dataset(dataset)
        datasets = {one['dataset']: one}
    return _plain(
        dict(
            format=FORMAT,
            name=name,
            gtpt_mm=__version__,
            packed=date.today().isoformat(),
            model=type(model).__name__,
            weights=WEIGHTS,
            num_parameters=sum(p.numel() for p in model.parameters()),
            input=dict(
                size=size and list(size),  # (w, h)
                mean=getattr(preprocessor, 'mean', np.zeros(0)).flatten(),
                std=getattr(preprocessor, 'std', np.zeros(0)).flatten(),
                channels=_name_channels(preprocessor),
            ),
            codec=_find_codec(cfg),
            score_peak=_find_peak(decoder),
            datasets=datasets,
        )
    )


def _find_peak(decoder: Any) -> float:
    """Return the divisor of raw scores; 1 if decoding changes nothing."""
    return float(getattr(decoder, 'peak', 1.0))


def _name_channels(preprocessor: Any) -> str:
    """Return the order of channels that the network sees."""
    converts = getattr(preprocessor, '_channel_conversion', False)
    return 'RGB' if converts else 'BGR'


def _find_codec(cfg: Config) -> Any:
    """Return the codec of a head; for several heads, the codecs by name."""
    head = cfg.model.get('head') or {}
    if 'heads' in head:
        shared = (head.get('shared') or {}).get('decoder')
        return {k: v.get('decoder', shared) for k, v in head['heads'].items()}
    return head.get('decoder') or cfg.get('codec')


def _describe_dataset(dataset: dict) -> dict[str, Any]:
    """Return names, skeleton and symmetry of the keypoints of a dataset."""
    while 'metainfo' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']  # a wrapper
    metainfo = dataset.get('metainfo')
    if not metainfo:
        metainfo = DATASETS.get(dataset['type']).METAINFO
    parsed = parse_pose_metainfo(dict(metainfo))
    return dict(
        dataset=parsed['dataset_name'],
        keypoints=[
            parsed['keypoint_id2name'][i]
            for i in range(parsed['num_keypoints'])
        ],
        skeleton=parsed['skeleton_links'],
        flip_indices=parsed['flip_indices'],
        sigmas=parsed['sigmas'],
    )


def _plain(value: Any) -> Any:
    """Return a value of JSON's types."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, 'tolist'):  # arrays, tensors and their numbers
        return value.tolist()
    return value


def _write_card(facts: dict[str, Any]) -> str:
    """Return the model card: description, use, and open entries."""
    size = facts['input']['size']
    lines = [
        '---',
        'library_name: gtpt_mm',
        'pipeline_tag: keypoint-detection',
        'tags: [pose-estimation, mmpose]',
        '---',
        '',
        f'# {facts["name"]}',
        '',
        f'- Model: {facts["model"]}, {facts["num_parameters"]:,} parameters',
        f'- Input (w, h): {f"{size[0]} x {size[1]}" if size else "any"}',
        f'- Packed by gtpt_mm {facts["gtpt_mm"]} on {facts["packed"]}',
        f'- SHA-256 of {WEIGHTS}: `{facts["sha256"]}`',
        '',
    ]
    for one in facts['datasets'].values():
        lines += [
            f'Training data: {one["dataset"]}, {len(one["keypoints"])} '
            f'keypoints: {", ".join(one["keypoints"])}.',
            '',
        ]
    lines += [
        '```python',
        'from gtpt_mm.apis import PoseInferencer',
        '',
        "for result in PoseInferencer('PATH OF THIS FOLDER')('image.jpg'):",
        '    print(result.to_dict())',
        '```',
        '',
        'Add here: the licence of the weights and of the training data, and '
        'the accuracy that was measured.',
        '',
    ]
    return '\n'.join(lines)

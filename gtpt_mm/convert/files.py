"""Read and write checkpoint files."""

import argparse
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

#: Entries with the weights in files of mmengine and the official ViTPose, of
#: FAIR, and of DeepSpeed. Other files contain only weights.
ENTRIES = ('state_dict', 'model', 'module')
SAFETENSORS = '.safetensors'


def read_state_dicts(
    path: str | Path,
) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Read the weights of a checkpoint file, of any project.

    Only tensors, plain values and the ``argparse.Namespace`` of official
    Group Pose files are built from the file.

    Args:
        path: A file of ``torch.save``, or a ``.safetensors``.

    Returns:
        The state dict; and the trained weights behind an average if mmengine
        saved them, else None.

    Raises:
        ValueError: If the file contains no state dict, or requires the
            missing package safetensors.
    """
    if Path(path).suffix == SAFETENSORS:
        return _read_safetensors(path), None
    # torch before 2.5 cannot allow a type for one call, and refuses the file.
    allow = getattr(torch.serialization, 'safe_globals', nullcontext)
    with allow([argparse.Namespace]):
        content = torch.load(path, map_location='cpu', weights_only=True)
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} contains a {type(content).__name__}, not a state dict'
        )
    trained = content.get('ema_state_dict')
    if trained is not None:
        trained = {
            key.removeprefix('module.'): value
            for key, value in trained.items()
            if key.startswith('module.')
        }
    return find_weights(content), trained


def find_weights(content: dict) -> dict[str, Tensor]:
    """Return the state dict in the content of a checkpoint file.

    Raises:
        ValueError: If there is none.
    """
    for entry in ENTRIES:
        if isinstance(content.get(entry), dict):
            content = content[entry]
            break
    others = [k for k, v in content.items() if not isinstance(v, Tensor)]
    if others:
        raise ValueError(
            f'expected only weights, alone or under one of {list(ENTRIES)}, '
            f'got also {others[:5]}'
        )
    return content


def write_state_dict(
    path: str | Path, state_dict: dict[str, Tensor], meta: dict | None
) -> None:
    """Write weights; create the folder if it does not exist.

    Args:
        path: File to write, a ``.safetensors`` or one of ``torch.save``.
        state_dict: The weights.
        meta: Written beside the weights, as mmengine does; None writes
            only weights. A ``.safetensors`` never contains it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == SAFETENSORS:
        tensors = {k: v.contiguous() for k, v in state_dict.items()}
        _safetensors().save_file(tensors, path, metadata=dict(format='pt'))
    elif meta is None:
        torch.save(state_dict, path)
    else:
        torch.save(dict(meta=meta, state_dict=state_dict), path)


def _read_safetensors(path: str | Path) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise FileNotFoundError(f'no such file: {path}')
    module = _safetensors()
    try:
        return module.load_file(path)
    except Exception as error:  # safetensors' class has no public base
        raise ValueError(
            f'{path} cannot be read as safetensors: {error}'
        ) from error


def _safetensors() -> ModuleType:
    try:
        from safetensors import torch as safetensors
    except ImportError as error:
        raise ValueError(
            'files that end with .safetensors need the package safetensors: '
            'pip install safetensors'
        ) from error
    return safetensors

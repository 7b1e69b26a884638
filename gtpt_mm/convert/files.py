"""Read and write checkpoint files."""

import argparse
import hashlib
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from gtpt_mm.compat.files.atomic_file import atomic_write, remove_leftovers
from gtpt_mm.compat.files.checkpoint_files import (
    ORDER,
    check_file,
    read_safetensors,
)
from gtpt_mm.compat.stack.torch_api import (
    UnsafeCheckpointError,
    allow_types,
    explain_refusal,
)

from .vitpose.native import HEADS

#: Entries with the weights in files of mmengine and the official ViTPose, of
#: FAIR, and of DeepSpeed. Other files contain only weights.
ENTRIES = ('state_dict', 'model', 'module')
SAFETENSORS = '.safetensors'


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read the content of a checkpoint file, of any project.

    Unpickling builds only tensors, plain values, the types that mmengine
    writes, and the ``argparse.Namespace`` of official Group Pose files.

    Args:
        path: A file of ``torch.save``, a ``.safetensors``, or a URL.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafeCheckpointError: If it holds other objects; none is built.
        ValueError: If it is empty, torn, damaged or not a checkpoint, or
            requires the missing package safetensors.
    """
    if '://' not in str(path):
        check_file(path)
    if Path(path).suffix == SAFETENSORS:
        return dict(state_dict=_read_safetensors(path))
    try:
        with allow_types([argparse.Namespace]):
            content = _load(path)
    except UnsafeCheckpointError:
        raise
    except pickle.UnpicklingError as error:
        # Not chained: torch's text advises switching the check off.
        raise UnsafeCheckpointError(
            explain_refusal(str(path), str(error))
        ) from None
    except (ValueError, OSError):
        raise
    except Exception as error:  # torn and damaged files end in many ways
        reason = str(error).partition('. ')[0] or 'it ends too early'
        raise ValueError(
            f'{path} cannot be read as a checkpoint; is it complete? {reason}'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} contains a {type(content).__name__}, not a state dict'
        )
    return content


def _load(path: str | Path) -> Any:
    if '://' in str(path):
        return CheckpointLoader.load_checkpoint(
            str(path), map_location='cpu', logger='silent'
        )
    return torch.load(path, map_location='cpu', weights_only=True)


def read_state_dicts(
    path: str | Path,
) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Read the weights of a checkpoint file, of any project.

    Args:
        path: See :func:`read_checkpoint`.

    Returns:
        The state dict; and, if it is an average and mmengine saved the trained
        weights as well, these, else None.

    Raises:
        ValueError: If the file contains no state dict; others as
            :func:`read_checkpoint`.
    """
    content = read_checkpoint(path)
    trained = content.get('ema_state_dict')
    try:
        if trained is not None:
            trained = {
                key.removeprefix('module.'): value
                for key, value in _check_weights(trained).items()
                if key.startswith('module.')
            }
        return find_weights(content), trained
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def find_weights(content: dict) -> dict[str, Tensor]:
    """Return the state dict in the content of a checkpoint file.

    Raises:
        ValueError: If there is none.
    """
    for entry in ENTRIES:
        if isinstance(content.get(entry), dict):
            content = content[entry]
            break
    return _check_weights(content)


def _check_weights(content: Any) -> dict[str, Tensor]:
    """Return the content if it is names and tensors.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(content, dict):
        raise ValueError(
            f'expected a state dict, got a {type(content).__name__}'
        )
    others = [
        key
        for key, value in content.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if others:
        raise ValueError(
            f'expected only weights, alone or under one of {list(ENTRIES)}, '
            f'got also {others[:5]}'
        )
    return content


def write_state_dict(
    path: str | Path, state_dict: dict[str, Tensor], meta: dict | None
) -> None:
    """Write weights, whole or not at all; create the folder if necessary.

    Args:
        path: File to write, a ``.safetensors`` or one of ``torch.save``.
        state_dict: The weights.
        meta: Written beside the weights, as mmengine does; None writes
            only weights. A ``.safetensors`` never contains it.

    Raises:
        OSError: If the file cannot be written; an old one stays unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    with atomic_write(path) as file:
        save_state_dict(file, state_dict, meta)


def save_state_dict(
    path: Path, state_dict: dict[str, Tensor], meta: dict | None
) -> None:
    """Write weights in place; see :func:`write_state_dict`."""
    if path.suffix == SAFETENSORS:
        tensors = {k: v.contiguous() for k, v in state_dict.items()}
        # Only one entry: safetensors writes several in random order, which
        # changes the hash of the file each time.
        metadata = {'format': 'pt'}
        if any(name.startswith(HEADS) for name in tensors):
            metadata = {ORDER: '\n'.join(tensors)}
        try:
            _safetensors().save_file(tensors, path, metadata)
        except Exception as error:  # safetensors' class has no public base
            raise OSError(f'{path} cannot be written: {error}') from error
        return
    content: dict = state_dict
    if meta is not None:
        content = dict(meta=meta, state_dict=state_dict)
    # Use an open file: given a name, torch does not report why it fails, and
    # writes the name into the file.
    with path.open('wb') as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # On a full disk torch reports only the position of its writer.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def find_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` prints it."""
    with Path(path).open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _read_safetensors(path: str | Path) -> dict[str, Tensor]:
    _safetensors()  # names the missing package
    try:
        return read_safetensors(path)
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

"""Arguments, checks and readers that several subcommands share."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn

#: Choices of ``--runtime``; torch is not imported for them.
RUNTIMES = ('torch', 'onnxruntime', 'openvino', 'auto')


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add ``--runtime`` of a predictor."""
    parser.add_argument(
        '--runtime',
        default='torch',
        choices=RUNTIMES,
        help='torch (default); onnxruntime or openvino, on a CPU; auto: the '
        'fastest of those installed',
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``."""
    parser.add_argument(
        '--overwrite', action='store_true', help='replace existing files'
    )


def add_no_config_check(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-config-check``."""
    parser.add_argument(
        '--no-config-check',
        dest='config_check',
        action='store_false',
        help='do not check the config for mistakes first',
    )


def check_target(path: Path, overwrite: bool) -> None:
    """Check that a file may be written, before any work is done.

    Args:
        path: The file; its folder need not exist yet.
        overwrite: Whether it may be replaced.

    Raises:
        ValueError: If it is a folder, a device or a link to nothing, if it
            exists and may not be replaced, or if its folder cannot be
            written to.
    """
    if path.is_dir():
        raise ValueError(f'{path} is a folder; give the name of a file')
    if path.is_symlink() and not path.exists():
        raise ValueError(
            f'{path} is a link to {os.readlink(path)}, which does not exist; '
            'remove the link or give another name'
        )
    if path.exists() and not path.is_file():
        raise ValueError(f'{path} is not a regular file; give another name')
    if path.exists() and not overwrite:
        raise ValueError(f'{path} exists; give --overwrite to replace it')
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f'{path} is read-only; give another name')
    check_folder(path.parent)
    if path.is_symlink():  # the file behind it is replaced
        check_folder(Path(os.path.realpath(path)).parent)


def check_folder(path: Path) -> None:
    """Check that files may be written to a folder, which need not exist yet.

    Raises:
        ValueError: If it is a file, or cannot be made or written to.
    """
    folders = (path, *path.absolute().parents)
    nearest = next(folder for folder in folders if os.path.lexists(folder))
    if not nearest.is_dir():
        raise ValueError(
            f'{nearest} is not a folder, so nothing can be written to it'
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(
            f'the folder {nearest} cannot be written to (read-only, or not '
            'yours); give another one'
        )


def read_config(path: str | Path) -> 'Config':
    """Read the config of a model, given by path or by name.

    Raises:
        ValueError: If it cannot be read or has no model.
    """
    from gtpt_mm.apis.model_names import get_config

    return get_config(path)


def build_model(cfg: 'Config', path: Path) -> 'nn.Module':
    """Build the model of a config.

    Args:
        cfg: The config.
        path: Its file, for messages.

    Raises:
        ValueError: If it cannot be built.
    """
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    try:
        init_default_scope(cfg.get('default_scope', 'mmpose'))
        return MODELS.build(cfg.model)
    except Exception as error:  # whatever a constructor raises
        raise ValueError(
            f'the model of {path} cannot be built: {error}'
        ) from error


def load_weights(model: 'nn.Module', checkpoint: str, config: Path) -> dict:
    """Load exactly the weights of a checkpoint.

    Args:
        model: Model of the config; changed in place.
        checkpoint: A file or URL.
        config: File of the config, for messages.

    Returns:
        The ``meta`` of the checkpoint.

    Raises:
        ValueError: If the file cannot be read, its weights are not finite,
            or are not those of the model.
    """
    from gtpt_mm.compat.files.loaded_tensors import (
        check_finite,
        load_state_dict,
    )
    from gtpt_mm.convert import find_weights, read_checkpoint

    content = read_checkpoint(checkpoint)
    try:
        weights = find_weights(content)
    except ValueError as error:
        raise ValueError(f'{checkpoint}: {error}') from error
    check_finite(weights, f'the weights of {checkpoint}')
    try:
        load_state_dict(model, weights, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f'{checkpoint} does not hold the weights of {config}: {error} '
            'Give the config it was trained with; an official file is '
            'converted by `gtpt-mm convert`'
        ) from error
    meta = content.get('meta')
    return meta if isinstance(meta, dict) else {}

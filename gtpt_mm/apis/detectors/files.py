"""Find weights of detectors: in a folder or mirror, torch's cache, online."""

import os
import shutil
import tempfile
from pathlib import Path

import torch

from gtpt_mm.apis.weights import VARIABLE, FetchError
from gtpt_mm.apis.weights.fetch import check_online, fetch_file
from gtpt_mm.compat.files.atomic_file import atomic_write


def find_file(url: str) -> Path | None:
    """Return a file of weights that is on this machine; None if it is not.

    It is looked up by its own name in the folder ``GTPT_MM_WEIGHTS`` and in
    torch's cache, which mmengine and torchvision use as well.
    """
    name = url.rpartition('/')[2]
    folders = [*weights_folders(), _cache()]
    files = (folder / name for folder in folders)
    return next((file for file in files if file.is_file()), None)


def is_here(weights: str) -> bool:
    """Tell whether weights are on this machine, or are random."""
    if '://' in weights:
        return find_file(weights) is not None
    return weights == 'random' or Path(weights).is_file()


def store_file(url: str, detector: str) -> None:
    """Put a file of weights into torch's cache; see :func:`get_file`."""
    file = get_file(url, detector)
    if file.parent != _cache():
        _cache().mkdir(parents=True, exist_ok=True)
        with atomic_write(_cache() / file.name) as target:
            shutil.copyfile(file, target)


def get_file(weights: str, detector: str) -> Path:
    """Return a file of weights; fetch it if it is not on this machine.

    Args:
        weights: File or URL.
        detector: Name of the detector, for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be fetched; the message says what to do.
    """
    if '://' in weights:
        return find_file(weights) or _fetch(weights, detector)
    if not Path(weights).is_file():
        raise FileNotFoundError(
            f'the detector {detector} has no weights at {weights}'
        )
    return Path(weights)


def weights_folders() -> list[Path]:
    """Return the folder ``GTPT_MM_WEIGHTS``; [] if it is not a folder."""
    folder = os.environ.get(VARIABLE, '')
    if not folder or '://' in folder:
        return []
    return [Path(folder).expanduser()]


def _fetch(url: str, detector: str) -> Path:
    """Fetch a file from the mirror or from its source into torch's cache."""
    name = url.rpartition('/')[2]
    mirror = os.environ.get(VARIABLE, '')
    mirrors = [f'{mirror.rstrip("/")}/{name}'] if '://' in mirror else []
    _cache().mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the move is one step.
    with tempfile.TemporaryDirectory(dir=_cache()) as folder:
        for source in (*mirrors, url):
            try:
                if source == url:
                    check_online()
                fetch_file(source, Path(folder) / name)
            except FetchError as error:
                reason = error
                continue
            return (Path(folder) / name).replace(_cache() / name)
    raise ValueError(
        f'the weights of the detector {detector} cannot be fetched from '
        f'{url}: {reason}. Fetch this file on a computer with network, put '
        f'it into a folder and set {VARIABLE} to that folder; or pass '
        f'detector=make_detector({detector!r}, weights=FILE), of '
        'gtpt_mm.apis.detectors, or choose another detector'
    )


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / 'checkpoints'

"""Weights by name: from a folder or mirror, the cache, or their source."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.compat.files.loaded_tensors import check_finite
from gtpt_mm.compat.messages import log, warn
from gtpt_mm.convert import (
    SAFETENSORS,
    convert_to_native,
    find_sha256,
    find_source,
    read_state_dicts,
    write_state_dict,
)

from . import public
from .fetch import (
    FetchError,
    NotThereError,
    check_online,
    fetch_file,
    fetch_repository,
)

#: A folder or URL with weights, which comes first.
VARIABLE = 'GTPT_MM_WEIGHTS'
#: Folder of the cache; default: ``gtpt_mm`` in the user's cache folder.
CACHE_VARIABLE = 'GTPT_MM_CACHE'
#: Suffix of a file with the hash of the file beside it, as of ``sha256sum``.
HASH = '.sha256'
#: Digits of a hash in names of files.
DIGITS = 12


@dataclass(frozen=True)
class StoredWeights:
    """Converted weights in the cache; written beside them as JSON.

    Attributes:
        file: Name of the ``.safetensors``.
        sha256: Its hash.
        source: Address or folder of the original file.
        source_sha256: Hash of the fetched file.
        licence: SPDX identifier of the licence; '' if unknown.
        converter: Names of the tensors that were converted.
    """

    file: str
    sha256: str
    source: str
    source_sha256: str
    licence: str
    converter: str

    @property
    def path(self) -> Path:
        """The file in the current cache."""
        return cache_folder() / self.file


def cache_folder() -> Path:
    """Return the folder of the cache, which may not exist yet."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder).expanduser()
    caches = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(caches) / 'gtpt_mm'


def get_weights(name: str, refresh: bool = False) -> StoredWeights:
    """Return weights by name; fetch and convert them if necessary.

    The sources are tried in this order: the folder or mirror of
    ``GTPT_MM_WEIGHTS``, the cache, the address in the registry. The hash of
    the cached file is checked.

    Args:
        name: Name of a model, or of other weights in the registry.
        refresh: Whether to fetch weights again that are in the cache.

    Raises:
        ValueError: If there are none, they cannot be fetched, or the cached
            file is damaged; the message says what to do.
    """
    mirror = os.environ.get(VARIABLE, '')
    sources = []
    if '://' in mirror:
        sources.append(f'{mirror.rstrip("/")}/{name}{SAFETENSORS}')
    elif mirror and (found := _import(name, Path(mirror), refresh)):
        return found
    if name in public.PUBLIC:
        sources.append(public.PUBLIC[name].source)
    if not sources:
        raise ValueError(explain(name))
    if (
        not refresh
        and (stored := _read(name, name))
        and stored.source == sources[0]
    ):
        return stored
    with _lock(name):
        return _fetch_first(name, sources, refresh)


def _fetch_first(
    name: str, sources: list[str], refresh: bool
) -> StoredWeights:
    """Return weights from the first source that has them."""
    stored = None if refresh else _read(name, name)
    for source in sources:
        if stored and stored.source == source:
            return stored
        try:
            return _fetch(name, source, refresh)
        except NotThereError as error:
            reason: FetchError = error  # a mirror may lack some
        except FetchError as error:
            if stored:
                warn(f'{source}: {error}; the {name} in the cache is used')
                return stored
            reason = error
            break
    if name not in public.PUBLIC:
        raise ValueError(f'{reason}; {explain(name)}')
    raise FetchError(
        f'{name} cannot be fetched from {source}: {reason}. Fetch it on a '
        f'computer with network, gtpt-mm download {name} --out FOLDER, copy '
        f'the folder and set {VARIABLE} to it; or give the file of a '
        'checkpoint as weights'
    ) from reason


def explain(name: str) -> str:
    """Explain how to get the weights of a model that cannot be fetched."""
    drive = public.DRIVES.get(name)
    if drive is None:
        return (
            f'{name} has no public weights: train it and give '
            "weights=FILE, or weights='random' for a model that knows nothing"
        )
    return (
        f'the weights of {name} are on a drive that no program may fetch '
        f'from. Download them ({drive.file}; link on {drive.page}), then '
        f'gtpt-mm convert FILE {name}.safetensors, and give '
        f'weights={name}.safetensors or set {VARIABLE} to the folder with '
        'that file'
    )


@contextlib.contextmanager
def _lock(name: str) -> Iterator[None]:
    """Let only one process at a time get the weights of a name."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f'{name}.lock')
        lock.acquire()
    except OSError as error:
        raise ValueError(
            f'the cache {folder} cannot be written to ({error.strerror}); '
            f'set {CACHE_VARIABLE} to another folder'
        ) from error
    try:
        yield
    finally:
        lock.release()


def _fetch(name: str, source: str, refresh: bool) -> StoredWeights:
    """Fetch weights, convert them and put them into the cache.

    Raises:
        FetchError: If they cannot be fetched.
        ValueError: If they differ from those in the registry.
    """
    entry = _find_entry(name, source)
    if entry and source.startswith('hf://'):
        files = fetch_repository(source, entry.revision, refresh)
        return _store(name, name, source, files, entry.sha256)
    if entry:
        check_online()  # a mirror may be near
    folder = cache_folder() / f'.{name}.download'
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    try:
        file = folder / source.rpartition('/')[2]
        fetch_file(source, file)
        sha256 = entry.sha256 if entry else _fetch_hash(source, folder)
        return _store(name, name, source, [file], sha256)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_entry(name: str, source: str) -> public.PublicWeights | None:
    """Return the entry in the registry, None for a copy from elsewhere."""
    entry = public.PUBLIC.get(name)
    return entry if entry and entry.source == source else None


def _fetch_hash(url: str, folder: Path) -> str:
    """Return the hash that a mirror has beside a file; '' if it has none."""
    try:
        fetch_file(f'{url}{HASH}', folder / HASH)
    except NotThereError:
        return ''
    return (folder / HASH).read_text().partition(' ')[0]


def _import(name: str, folder: Path, refresh: bool) -> StoredWeights | None:
    """Return weights from a folder, None if it has none of this name.

    The file is ``NAME.safetensors`` or ``NAME.pth``, or has its original name,
    in any format that ``gtpt-mm convert`` reads.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ValueError(
            f'{VARIABLE}={folder} is not a folder; set it to a folder with '
            'weights or to the URL of a mirror'
        )
    files = [folder / f'{name}{SAFETENSORS}', folder / f'{name}.pth']
    if name in public.PUBLIC:
        source = folder / public.PUBLIC[name].source.rpartition('/')[2]
        files += [source, source / f'model{SAFETENSORS}']
    for file in filter(Path.is_file, files):
        beside = file.with_name(f'{file.name}{HASH}')
        expected = ''
        if beside.is_file():
            expected = beside.read_text().partition(' ')[0]
        key = f'{name}-{_compare(file, expected, name)[:DIGITS]}'
        if not refresh and (stored := _read(key, name)):
            return replace(stored, source=str(file))
        with _lock(key):
            return _store(key, name, str(file), [file], expected)
    return None


def _store(
    key: str, name: str, source: str, files: list[Path], expected: str
) -> StoredWeights:
    """Convert fetched files and put the result into the cache.

    Args:
        key: Name of the entry in the cache.
        name: Name of the weights.
        source: Address or folder of the files.
        files: The files, which together are one state dict.
        expected: First digits of the hash of the file; '' if unknown.

    Raises:
        ValueError: If they are not the expected weights.
    """
    if len(files) == 1:
        sha256 = _compare(files[0], expected, name)
    else:
        parts = ''.join(find_sha256(file) for file in files)
        sha256 = hashlib.sha256(parts.encode()).hexdigest()
    entry = _find_entry(name, source)
    state_dict: dict = {}
    for file in files:
        state_dict |= read_state_dicts(file)[0]
    layout = getattr(find_source(state_dict), 'project', 'unknown')
    if entry and layout != entry.layout:
        raise ValueError(
            f'{source} holds weights of the layout {layout!r}, not '
            f'{entry.layout!r} as the registry says'
        )
    check_finite(state_dict, f'the weights of {source}')
    path = cache_folder() / f'{name}-{sha256[:DIGITS]}{SAFETENSORS}'
    write_state_dict(path, convert_to_native(state_dict), None)
    licence = entry.licence if entry else ''
    stored = StoredWeights(
        path.name, find_sha256(path), source, sha256, licence, layout
    )
    with atomic_write(cache_folder() / f'{key}.json') as sidecar:
        sidecar.write_text(json.dumps(asdict(stored), indent=2))
    log(f'{name}: {source} -> {path}, SHA-256 {stored.sha256}')
    return stored


def _read(key: str, name: str) -> StoredWeights | None:
    """Return weights in the cache, None if there are none.

    Raises:
        ValueError: If the file is not the one that was stored.
    """
    sidecar = cache_folder() / f'{key}.json'
    try:
        stored = StoredWeights(**json.loads(sidecar.read_text()))
    except (OSError, ValueError, TypeError):  # none, or not of this version
        return None
    if not stored.path.is_file():
        return None
    _compare(stored.path, stored.sha256, name)
    return stored


def _compare(path: Path, expected: str, name: str) -> str:
    """Return the hash of a file that begins as expected.

    Raises:
        ValueError: If it does not.
    """
    sha256 = find_sha256(path)
    if not sha256.startswith(expected):
        raise ValueError(
            f'{path} is damaged or another file: its SHA-256 is {sha256}, '
            f'expected {expected}; fetch it again: gtpt-mm download {name} '
            '--refresh'
        )
    return sha256

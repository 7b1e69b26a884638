"""Write and load complete checkpoint files; name incomplete ones in errors.

Broken: mmengine (<= 0.10.7) writes a checkpoint over its old file, so that a
kill or a full disk leaves half of it; torch.load does not compare the
checksums in the file, so that flipped bytes become weights; an empty or torn
file, a web page and a list end in errors that do not name the file. To resume,
mmengine considers only the file named in ``last_checkpoint``: if it is lost,
empty, moved or torn, the training fails or starts again and overwrites its own
files. Each process looks for that file separately, so nodes without a shared
folder continue from different steps. Files of safetensors cannot be read.

Here: local checkpoints are written whole or not at all (see
``atomic_file``); local files are checked before they are loaded; a training
resumes from the newest whole file, and one line of the log says which and why;
the first process looks for it, and the others must see the same file.

Can go: when mmengine renames a finished file into place, checks what it loads,
and falls back to checkpoints other than ``last_checkpoint``.
"""

import functools
import logging
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.fileio import FileClient, LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import runner as mmengine_runner

from ..messages import log, warn
from ..replacement import replace_everywhere
from ..runs.nodes import find_together
from .atomic_file import atomic_write, remove_leftovers

SAFETENSORS = '.safetensors'
#: Entry of a ``.safetensors`` beside the tensors: their names, by lines.
ORDER = 'order'
#: How files of torch.save begin: now, and before torch 1.6.
ZIP = b'PK\x03\x04'
PICKLE = b'\x80'
#: Longest text, in characters, that can be the name of a file.
MAX_NAME = 4096
LAST = 'last_checkpoint'
CANNOT_RESUME = 'has no optimizer state to resume from'


class BrokenCheckpointError(ValueError):
    """A file is torn, damaged, or not a checkpoint."""


def missing() -> str:
    """Say what is missing."""
    return (
        'mmengine writes checkpoints in place, loads them unchecked, and '
        'resumes from one file alone'
    )


def repair() -> None:
    """Write whole files, check what is loaded, find the newest whole one."""
    replace_everywhere(
        mmengine_checkpoint.save_checkpoint,
        save_whole(mmengine_checkpoint.save_checkpoint),
    )
    # Not of FlexibleRunner, whose checkpoints may be folders.
    for module in (mmengine_checkpoint, mmengine_runner):
        module.find_latest_checkpoint = find_latest_checkpoint
    replace_everywhere(mmengine_checkpoint.load_from_local, load_from_local)
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    Runner.load_or_resume = say_what_is_resumed(Runner.load_or_resume)


# ------------------------------------------------------------------- writing


def save_whole(save: Callable) -> Callable:
    """Return mmengine's ``save_checkpoint``, writing whole local files.

    Other backends (object stores) are left as they are.
    """

    @functools.wraps(save)
    def save_checkpoint(
        checkpoint: dict,
        filename: str,
        file_client_args: dict | None = None,
        backend_args: dict | None = None,
    ) -> None:
        options = dict(
            file_client_args=file_client_args, backend_args=backend_args
        )
        if not _is_local(filename, **options):
            save(checkpoint, filename, **options)
            return
        folder = Path(filename).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            with atomic_write(filename) as temporary:
                save(checkpoint, str(temporary), **options)
        except OSError as error:
            if error.errno is None:
                raise
            raise OSError(
                error.errno,
                f'{error.strerror or error}; this checkpoint is not written, '
                'earlier ones are kept',
                str(filename),
            ) from error

    return save_checkpoint


def _is_local(
    filename: str, file_client_args: dict | None, backend_args: dict | None
) -> bool:
    if str(filename).startswith('pavi://'):
        return False
    if file_client_args is not None:
        client = FileClient.infer_client(file_client_args, filename).client
        return isinstance(client, LocalBackend)
    backend = get_file_backend(filename, backend_args=backend_args)
    return isinstance(backend, LocalBackend)


# ------------------------------------------------------------------- loading


def find_problem(path: str | Path) -> str:
    """Say what is wrong with a checkpoint file; '' for nothing.

    Reads the whole file: each part of a file of ``torch.save`` has a
    checksum. Files of ``torch.save`` before torch 1.6 and of safetensors have
    none.

    Args:
        path: A local file.

    Returns:
        The end of a sentence that begins with the name of the file.
    """
    path = Path(path)
    if path.is_dir():
        return 'is a folder, not a checkpoint'
    if not path.is_file():
        return 'does not exist'
    with path.open('rb') as file:
        start = file.read(64)
    if not start:
        return 'is empty (0 bytes), as a crash or a full disk leaves a file'
    if not start.strip(b'\0'):
        return 'holds zeros, as a power cut leaves a file'
    if path.suffix == SAFETENSORS and not start.startswith(ZIP):
        return ''  # its reader checks names and lengths
    if zipfile.is_zipfile(path):
        return _find_damage(path)
    if start.startswith(ZIP):
        return 'is torn: its end is missing; it was not written to the end'
    if start.lstrip().startswith(b'<'):
        return 'is a web page (HTML or XML), not a checkpoint'
    if start.startswith(b'version https://git-lfs'):
        return 'is a pointer of Git LFS; fetch the file with git lfs pull'
    if not start.startswith(PICKLE) and not tarfile.is_tarfile(path):
        return 'does not begin as a checkpoint; torch.save did not write it'
    return ''


def _find_damage(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as file:
            part = file.testzip()
    except Exception as error:  # zipfile raises many kinds
        return f'is damaged: {error}'
    if part is None:
        return ''
    return (
        f'is damaged: the checksum of its part {part} is wrong; copy or '
        'download it again'
    )


def check_file(path: str | Path) -> None:
    """Raise if a local checkpoint file is torn or damaged.

    Raises:
        FileNotFoundError: If there is no such file.
        BrokenCheckpointError: If it is empty, torn, damaged or a web page.
    """
    problem = find_problem(path)
    if problem and not Path(path).is_file():
        raise FileNotFoundError(f'checkpoint {path} {problem}')
    if problem:
        raise BrokenCheckpointError(f'checkpoint {path} {problem}')


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a checked local file; mmengine's loader of plain paths.

    Args:
        filename: A file of ``torch.save`` or a ``.safetensors``.
        map_location: Same as for ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        BrokenCheckpointError: If it is torn or damaged.
    """
    path = os.path.expanduser(filename)
    check_file(path)
    if path.endswith(SAFETENSORS) and not zipfile.is_zipfile(path):
        return _load_safetensors(path, map_location)
    try:
        # Open it here: torch judges a name by its suffix, not by content.
        with open(path, 'rb') as file:
            return torch.load(file, map_location=map_location)
    except (OSError, pickle.UnpicklingError):
        raise
    except Exception as error:  # files of the old format raise many kinds
        words = str(error) or type(error).__name__
        if 'weights_only' in words:  # advises switching the check off
            raise BrokenCheckpointError(
                f'checkpoint {path} is an archive of another kind, such as '
                'TorchScript; save its weights with torch.save'
            ) from None
        raise BrokenCheckpointError(
            f'checkpoint {path} cannot be read; is it complete? torch says: '
            f'{words}'
        ) from error


def _load_safetensors(path: str, map_location: Any) -> dict:
    try:
        tensors = read_safetensors(path)
    except ImportError as error:
        raise BrokenCheckpointError(
            f'{path} cannot be read without the package safetensors: '
            'pip install safetensors'
        ) from error
    except Exception as error:  # safetensors' class has no public base
        raise BrokenCheckpointError(
            f'checkpoint {path} cannot be read as safetensors: {error}'
        ) from error
    if isinstance(map_location, str | torch.device):
        tensors = {k: v.to(map_location) for k, v in tensors.items()}
    return dict(meta={}, state_dict=tensors)


def read_safetensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors``, in the order of the model.

    The format sorts tensors by name. Files of a model of several datasets
    store the original order under :data:`ORDER`: heads in the order of their
    experts. Files without it stay sorted.
    """
    from safetensors import safe_open
    from safetensors import torch as safetensors

    tensors = safetensors.load_file(path)
    with safe_open(path, 'pt') as file:
        order = (file.metadata() or {}).get(ORDER, '')
    names = [name for name in order.split('\n') if name in tensors]
    return {name: tensors[name] for name in [*names, *tensors]}


# ------------------------------------------------------------------ resuming


def find_latest_checkpoint(
    path: str, others: Sequence[Path] = ()
) -> str | None:
    """Return the newest whole checkpoint of a work folder, or None.

    The file named in ``last_checkpoint`` is tried first (if the folder was
    moved, the file of that name in it), then the others, the most advanced
    first. The best checkpoints are left out: they have no optimizer state.

    Args:
        path: Work folder of a training.
        others: Further folders to which the training saves.

    Raises:
        BrokenCheckpointError: If there are checkpoints, but none is whole.
    """
    last = Path(path, LAST)
    # A power cut may leave zeros.
    named = last.read_text(errors='replace') if last.is_file() else ''
    named = named.strip().strip('\0')
    state = 'empty' if last.is_file() else 'missing'
    if not named.isprintable() or len(named) > MAX_NAME:
        named, state = '', 'damaged'
    if '://' in named:
        return named
    why = f'{LAST} names it' if named else f'{LAST} is {state}'
    passed: dict[Path, str] = {}
    for file in _named_files(path, named):
        if not (problem := find_problem(file)):
            return _say_taken(file, why, passed)
        passed[file] = problem
    # Other folders count only if the run saves there (out_dir).
    for folder in dict.fromkeys(
        (Path(path), Path(named).parent if named else Path(path), *others)
    ):
        for file in _other_files(folder, passed):
            if not (problem := find_problem(file)):
                return _say_taken(file, '' if named else why, passed)
            passed[file] = problem
    if any(problem != CANNOT_RESUME for problem in passed.values()):
        raise BrokenCheckpointError(
            f'no checkpoint in {path} is whole: {_say(passed)}. Start '
            'without --resume or in another work_dir'
        )
    _warn_none(path, passed)
    return None


def _named_files(work_dir: str, named: str) -> list[Path]:
    """Return the files that ``last_checkpoint`` may mean, in order.

    The file of that name in this folder comes first: the folder may have been
    moved or copied.
    """
    if not named:
        return []
    files = [Path(work_dir, Path(named).name), Path(named)]
    files = [file for file in files if file.exists()]
    return list(dict.fromkeys(files)) or [Path(named)]


def _other_files(folder: Path, passed: dict[Path, str]) -> list[Path]:
    """Return the other checkpoints of a folder, the most advanced first."""
    tried = {file.resolve() for file in passed}
    progress = {}
    for file in folder.glob('*.pth'):
        hidden = file.name.startswith(('.', 'best_'))
        if hidden or file.resolve() in tried:
            continue
        step, problem = _read_step(file)
        if problem:
            passed[file] = problem
        else:
            progress[file] = step, file.stat().st_mtime
    return sorted(progress, key=lambda file: progress[file], reverse=True)


def _read_step(path: Path) -> tuple[int, str]:
    """Return the step of a checkpoint and why it cannot be resumed."""
    try:
        content = torch.load(
            str(path),  # for torch 2.1 to map it
            map_location='cpu',
            mmap=zipfile.is_zipfile(path),
            weights_only=True,
        )
    except Exception as error:  # torn, damaged, or holding other objects
        problem = find_problem(path)
        first = str(error).partition('\n')[0]
        return 0, problem or f'cannot be read: {first}'
    if not isinstance(content, dict) or 'optimizer' not in content:
        return 0, CANNOT_RESUME
    step = (content.get('meta') or {}).get('iter', 0)
    return (step if isinstance(step, int) else 0), ''


def _say(passed: dict[Path, str]) -> str:
    return '; '.join(f'{file} {problem}' for file, problem in passed.items())


def _say_taken(path: Path, why: str, passed: dict[Path, str]) -> str:
    words = f'To resume, {path} is taken'
    if why:
        words += f': {why}'
    if passed:
        words += f'. Passed over: {_say(passed)}'
    log(words, logging.WARNING if passed else logging.INFO)
    return str(path)


def _warn_none(work_dir: str, passed: dict[Path, str]) -> None:
    words = f'Nothing to resume: no checkpoint in {work_dir}'
    if passed:
        words += f' ({_say(passed)})'
    warn(f'{words}. The training starts from its beginning.')


def say_what_is_resumed(load_or_resume: Callable) -> Callable:
    """Return the runner's method without its log line on "None"."""

    @functools.wraps(load_or_resume)
    def wrapper(self: Runner) -> None:
        if self._has_loaded or not self._resume or self._load_from is not None:
            load_or_resume(self)
        elif path := find_together(
            lambda: find_latest_checkpoint(self.work_dir, _out_dirs(self))
        ):
            self.resume(path)
            self._has_loaded = True

    return wrapper


def _out_dirs(runner: Runner) -> list[Path]:
    """Return the local folders that ``CheckpointHook(out_dir=...)`` names."""
    names = [
        hook.out_dir
        for hook in runner.hooks
        if isinstance(hook, CheckpointHook) and hook.out_dir is not None
    ]
    return [
        Path(name, Path(runner.work_dir).name)
        for name in names
        if '://' not in name
    ]

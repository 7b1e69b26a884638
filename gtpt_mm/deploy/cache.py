"""Cache of exported files: each is exported and checked once.

    exported/
        GTPT-3f0c8e21a9d4/      one model for one runtime
            model.onnx          or model.xml with model.bin
            facts.json          structure of the outputs, speed, deviation
        GTPT-77b1d02c5e19.json  what 'auto' measured, and so the runtime

Folders are written under another name and renamed, under a lock, so any number
of processes may ask for the same file at once.
"""

# B batch, (h, w) input in pixels

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.compat.messages import log
from gtpt_mm.version import __version__

from .export import export_model
from .graph import flatten
from .runtimes import NETWORKS, PACKAGES, RUNTIMES, Network, describe

#: Largest accepted deviation from torch, as a part of the outputs' range.
TOLERANCE = 1e-3
#: Batch sizes of the check, and the number of draws. If two tokens or queries
#: are equal up to rounding, a model may choose the other one, so it is enough
#: that one draw agrees in all batches.
BATCHES = (1, 2, 5)
DRAWS = 3
#: Batch sizes of which the fastest is used.
SIZES = (1, 4)
FORMATS = {'onnxruntime': 'onnx', 'openvino': 'openvino'}
FILES = {'onnxruntime': 'model.onnx', 'openvino': 'model.xml'}
FACTS = 'facts.json'
#: Digits of a hash in names of files.
DIGITS = 12


class ExportError(ValueError):
    """A model cannot be exported, or its file differs from the model."""


@dataclass(frozen=True)
class Facts:
    """Facts about an exported file, written beside it as JSON.

    Attributes:
        structure: Structure of the outputs, see ``deploy.runtimes.describe``.
        batch_size: The fastest batch size.
        milliseconds: Time per image at this batch size.
        deviation: Largest deviation from torch, as a part of the outputs'
            range.
        digest: SHA-256 of the files; if it differs, the entry is damaged.
        versions: Versions of the packages that wrote and checked it.
    """

    structure: Any
    batch_size: int
    milliseconds: float
    deviation: float
    digest: str
    versions: dict[str, str]


def exported_file(
    model: BasePoseEstimator,
    runtime: str,
    folder: str | Path,
    sizes: Sequence[tuple[int, int]],
    threads: int | None = None,
) -> Path:
    """Return the file of a model; export and check it if there is none.

    Args:
        model: A model on the CPU in float32 and in eval mode, not fused.
        runtime: ``'onnxruntime'`` or ``'openvino'``.
        folder: Folder of the cache; it need not exist.
        sizes: Sizes (w, h) of the images of the check; the first one is
            timed.
        threads: Threads for measuring its speed; None for torch's number.

    Returns:
        The file, with ``facts.json`` beside it (:func:`read_facts`).

    Raises:
        ExportError: If the model cannot be exported, or its file differs from
            the model.
        ValueError: If the folder cannot be written to.
    """
    entry = Path(folder) / f'{name_of(model)}-{find_key(model, runtime)}'
    file = entry / FILES[runtime]
    if read_facts(file) is not None:
        return file
    with locked(entry):
        if read_facts(file) is None:  # another process may have been first
            _make_entry(model, runtime, entry, sizes, threads)
    return file


def read_facts(file: str | Path) -> Facts | None:
    """Return the facts of an exported file, None if it is not whole."""
    file = Path(file)
    try:
        facts = Facts(**json.loads((file.parent / FACTS).read_text()))
    except (OSError, ValueError, TypeError):  # none, or of another version
        return None
    is_whole = file.is_file() and _find_digest(file.parent) == facts.digest
    return facts if is_whole else None


def _find_digest(folder: Path) -> str:
    """Return the digest of the files of an entry, without the facts."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != FACTS:
            with path.open('rb') as file:
                content = hashlib.file_digest(file, 'sha256')
            digest.update(f'{path.name} {content.hexdigest()}'.encode())
    return digest.hexdigest()


def open_network(file: str | Path, threads: int | None = None) -> Network:
    """Return the network in a file of the cache.

    Raises:
        ValueError: If it is not a file of the cache.
    """
    facts = read_facts(file)
    if facts is None:
        raise ValueError(f'{file} is not an exported file of the cache')
    [runtime] = [name for name in FILES if FILES[name] == Path(file).name]
    return NETWORKS[runtime](
        file,
        threads,
        batch_size=facts.batch_size,
        structure=facts.structure,
    )


# ---------------------------------------------------------------- one export


def _make_entry(
    model: BasePoseEstimator,
    runtime: str,
    entry: Path,
    sizes: Sequence[tuple[int, int]],
    threads: int | None,
) -> None:
    """Export a model into a folder; the folder appears as a whole."""
    log(
        f'{name_of(model)} is exported for {runtime}, once; it will be in '
        f'{entry}'
    )
    made = entry.with_name(f'.{entry.name}')
    shutil.rmtree(made, ignore_errors=True)  # of a process that was killed
    made.mkdir()
    try:
        file = made / FILES[runtime]
        write_file(model, runtime, file)
        facts = _check(model, runtime, file, sizes, threads)
        with atomic_write(made / FACTS) as path:
            path.write_text(json.dumps(asdict(facts), indent=2) + '\n')
        shutil.rmtree(entry, ignore_errors=True)  # not whole, see read_facts
        os.replace(made, entry)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    log(
        f'{entry / file.name}: {facts.milliseconds:.1f} ms an image; differs '
        f'from torch by {facts.deviation:.1g} of the range of the outputs'
    )


def write_file(model: BasePoseEstimator, runtime: str, file: Path) -> None:
    """Export a model.

    Raises:
        ExportError: If the exporter cannot.
        OSError: If the disk is full, which says nothing about the model.
    """
    try:
        export_model(model, file, FORMATS[runtime])
    except OSError:
        raise
    except Exception as error:  # exporters have many kinds
        raise ExportError(
            f'{name_of(model)} cannot be exported for {runtime}: '
            f'{type(error).__name__}: {_first_line(error)}; use '
            "runtime='torch'"
        ) from error


def run_torch(model: BasePoseEstimator, images: Tensor) -> Any:
    """Return the outputs of a head for images, by torch."""
    return model.head.forward(model.extract_feat(images))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [''])[0]


# ------------------------------------------------------------ check and speed


def _check(
    model: BasePoseEstimator,
    runtime: str,
    file: Path,
    sizes: Sequence[tuple[int, int]],
    threads: int | None,
) -> Facts:
    """Return the facts of a file that computes what torch computes.

    Raises:
        ExportError: If it does not.
    """
    with torch.inference_mode():
        try:
            structure = describe(run_torch(model, draw_images(1, sizes[0])))
            network = NETWORKS[runtime](file, threads, structure=structure)
            deviation = float('inf')
            for draw in range(DRAWS):
                found = _compare(model, network, sizes, draw)
                deviation = min(deviation, found)
                if deviation <= TOLERANCE:
                    break
        except ExportError:
            raise
        except Exception as error:  # each runtime has its own kinds
            raise ExportError(
                f'the file of {name_of(model)} does not run in {runtime}: '
                f"{_first_line(error)}; use runtime='torch'"
            ) from error
        if not deviation <= TOLERANCE:
            raise ExportError(
                f'the file of {name_of(model)} for {runtime} differs from '
                f'torch by {deviation:.2g} of the range of the outputs, more '
                f"than {TOLERANCE:g}; use runtime='torch'"
            )
        images = draw_images(max(SIZES), sizes[0])
        seconds = time_calls(
            {number: _take(network, number) for number in SIZES}, images
        )
    batch_size = min(seconds, key=lambda number: seconds[number])
    names = ('torch', *PACKAGES[runtime])
    return Facts(
        structure,
        batch_size,
        1000 * seconds[batch_size],
        deviation,
        _find_digest(file.parent),
        {name: version(name) for name in names},
    )


def _compare(
    model: BasePoseEstimator,
    network: Network,
    sizes: Sequence[tuple[int, int]],
    seed: int,
) -> float:
    """Return the largest deviation from torch, as a part of the range."""
    worst = 0.0
    for number, size in product(BATCHES, sizes):
        images = draw_images(number, size, seed)
        expected = flatten(run_torch(model, images))
        found = flatten(network(images))
        shapes = [[tuple(t.shape) for t in part] for part in (expected, found)]
        if shapes[0] != shapes[1]:
            raise ExportError(
                f'the file returns {shapes[1]} for {number} images, torch '
                f'{shapes[0]}'
            )
        for one, other in zip(expected, found, strict=True):
            width = (one.max() - one.min()).clamp(min=1e-6)
            worst = max(worst, float((one - other).abs().max() / width))
    return worst


def _take(network: Network, number: int) -> Callable[[Tensor], Any]:
    """Return a call that passes images on in parts."""
    return lambda images: [network(part) for part in images.split(number)]


def time_calls(
    calls: dict[Any, Callable[[Tensor], Any]],
    images: Tensor,
    rounds: int = 3,
) -> dict[Any, float]:
    """Return the seconds per image of calls, by name.

    Each is called once to warm up, then in turn; its best round counts.

    Args:
        calls: Calls with all images, by name.
        images: Normalised, (B, 3, h, w).
        rounds: Calls of each that are measured.
    """
    for call in calls.values():
        call(images)
    best = dict.fromkeys(calls, float('inf'))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call(images)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: value / len(images) for name, value in best.items()}


def draw_images(number: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Return normalised images, (B, 3, h, w): smooth spots and noise.

    Args:
        number: B.
        size: (w, h).
        seed: Seed of the random numbers.
    """
    w, h = size
    generator = torch.Generator().manual_seed(seed)
    spots = torch.randn(number, 3, 9, 7, generator=generator)
    smooth = nn.functional.interpolate(spots, (h, w), mode='bicubic')
    return smooth + 0.1 * torch.randn(smooth.shape, generator=generator)


# -------------------------------------------------------------------- choice


@dataclass(frozen=True)
class Choice:
    """Measurement of ``'auto'``.

    Attributes:
        runtime: The fastest runtime.
        milliseconds: Time per image of each runtime that agrees with torch.
    """

    runtime: str
    milliseconds: dict[str, float]


def read_choice(path: Path) -> Choice | None:
    """Return the choice in a file, None if there is none."""
    try:
        choice = Choice(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return choice if choice.runtime in RUNTIMES else None


def write_choice(path: Path, choice: Choice) -> None:
    """Remember a choice."""
    with atomic_write(path) as file:
        file.write_text(json.dumps(asdict(choice), indent=2) + '\n')


def find_choice_path(
    model: BasePoseEstimator, folder: str | Path, runtimes: Sequence[str]
) -> Path:
    """Return the file that stores the choice of a runtime.

    The choice depends on the model, the processor, the number of threads and
    the versions of packages.
    """
    machine = f'{_find_processor()} {torch.get_num_threads()}'
    key = find_key(model, *runtimes, more=machine)
    return Path(folder) / f'{name_of(model)}-{key}.json'


def _find_processor() -> str:
    with contextlib.suppress(OSError):
        text = Path('/proc/cpuinfo').read_text()
        if match := re.search(r'model name\s*: (.*)', text):
            return match[1]
    return platform.processor() or platform.machine()


# ----------------------------------------------------------------------- key


def name_of(model: BasePoseEstimator) -> str:
    """Return the prefix of the files of a model."""
    return type(model.backbone).__name__


def find_key(model: BasePoseEstimator, *runtimes: str, more: str = '') -> str:
    """Return a hash of everything that a file depends on.

    This is the config of the network, the attributes and weights of its
    modules, and the versions of the packages.

    Args:
        model: The model.
        runtimes: Runtimes that the file is for.
        more: Anything else that it depends on.
    """
    config = dict(model.cfg.model)
    for name in ('train_cfg', 'test_cfg', 'init_cfg'):
        config.pop(name, None)
    names = {name for runtime in runtimes for name in PACKAGES[runtime]}
    parts = [
        f'gtpt_mm {__version__}',
        *(f'{n} {_find_version(n)}' for n in ('torch', 'mmpose')),
        *(f'{n} {_find_version(n)}' for n in sorted(names)),
        *runtimes,
        more,
        json.dumps(config, default=repr),
    ]
    digest = hashlib.sha256('\n'.join(parts).encode())
    for name, module in model.named_modules():
        digest.update(f'{name} {type(module).__qualname__}'.encode())
        digest.update(_describe_attributes(module).encode())
    for name, tensor in model.state_dict().items():
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f'{name} {array.dtype} {array.shape}'.encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:DIGITS]


def _find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ''


#: Attributes of a module that do not change what it computes.
OTHER_ATTRIBUTES = {
    *vars(nn.Module()),
    *('init_cfg', 'test_cfg', 'train_cfg', 'cfg', 'dataset_meta'),
    *('_is_init', '_params_init_info', 'weights_source'),
}


def _describe_attributes(module: nn.Module) -> str:
    """Return the attributes of a module as text that is always the same."""
    found = {
        name: sorted(map(repr, value))
        if isinstance(value, set | frozenset)
        else value
        for name, value in vars(module).items()
        if name not in OTHER_ATTRIBUTES
    }
    text = repr(sorted(found.items(), key=lambda item: item[0]))
    return re.sub(r' at 0x[0-9a-f]+', '', text)  # addresses of objects


# ---------------------------------------------------------------------- lock


@contextlib.contextmanager
def locked(entry: Path) -> Iterator[None]:
    """Let one process at a time make an entry of the cache.

    Raises:
        ValueError: If the folder of the cache cannot be written to.
    """
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(f'{entry}.lock')
        lock.acquire()
    except OSError as error:
        raise ValueError(
            f'the cache {entry.parent} cannot be written to '
            f'({error.strerror}); set GTPT_MM_CACHE to another folder, or '
            "use runtime='torch'"
        ) from error
    try:
        yield
    finally:
        lock.release()

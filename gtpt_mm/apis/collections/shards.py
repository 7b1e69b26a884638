"""A large collection in shards: one Parquet file each, complete or absent.

Shards are ranges of the list of pictures. A killed process leaves no file of
its shard; when it runs again, it finds the finished shards.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from gtpt_mm.apis.pose_inferencer import PoseInferencer
from gtpt_mm.apis.results import Frame, PoseResult
from gtpt_mm.apis.writing import Summary
from gtpt_mm.compat.files.atomic_file import remove_leftovers
from gtpt_mm.compat.messages import list_some, warn
from gtpt_mm.convert import find_sha256
from gtpt_mm.version import __version__

from .sources import Collection
from .table import (
    describe_skeleton,
    find_damage,
    read_facts,
    read_file,
    require_pyarrow,
    write_table,
)

NAME = re.compile(r'predictions-(\d+)-of-(\d+)\.parquet')
FORM = "a shard is I/N with I from 0 to N - 1, 'auto' or 'auto/N'"


@dataclass(frozen=True)
class Shard:
    """A part of a collection.

    Attributes:
        index: Number of the part, from 0.
        count: Number of parts.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f'shard {self.index}/{self.count}'

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f'predictions-{self.index:05}-of-{self.count:05}.parquet'

    def cut(self, total: int) -> tuple[int, int]:
        """Return its range of ``total`` pictures; sizes differ by one."""
        start, stop = self.index, self.index + 1
        return start * total // self.count, stop * total // self.count


def find_shards(
    text: str, environ: Mapping[str, str] | None = None
) -> list[Shard]:
    """Return the shards of this process.

    Args:
        text: ``'3/8'`` is the fourth of eight. ``'auto'``: torchrun or SLURM
            started several processes, with one shard each; take that of this
            process. ``'auto/1000'``: there are 1000 shards, of which this
            process takes its share, or all if it is the only process.
        environ: Environment variables; None: those of this process.

    Raises:
        ValueError: If the text or the variables have another form.

    Example:
        >>> find_shards('auto/5', dict(RANK='1', WORLD_SIZE='2'))
        [Shard(index=1, count=5), Shard(index=3, count=5)]
    """
    environ = os.environ if environ is None else environ
    match = re.fullmatch(r'(auto|\d+)(?:/(\d+))?', text.strip())
    if not match or (match[1] != 'auto' and match[2] is None):
        raise ValueError(f'--shard {text}: {FORM}')
    count = None if match[2] is None else int(match[2])
    if match[1] != 'auto':
        return [_checked(int(match[1]), int(match[2]), f'--shard {text}')]
    place = _find_process(environ)
    if count is None:
        if place is None:
            raise ValueError(
                '--shard auto: neither torchrun (RANK, WORLD_SIZE) nor SLURM '
                '(SLURM_PROCID, SLURM_NTASKS, SLURM_ARRAY_TASK_ID) started '
                'this process; give --shard I/N'
            )
        return [place]
    if count < 1:
        raise ValueError(f'--shard {text}: {FORM}')
    place = place or Shard(0, 1)
    return [Shard(i, count) for i in range(place.index, count, place.count)]


def _find_process(environ: Mapping[str, str]) -> Shard | None:
    """Return the number of this process among all; None if it is alone."""
    if 'RANK' in environ and 'WORLD_SIZE' in environ:
        return _read(environ, 'RANK', 'WORLD_SIZE')
    task = array = None
    if 'SLURM_PROCID' in environ:
        # The first counts the step; SLURM_NTASKS counts the job if srun starts
        # fewer.
        steps = ('SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS')
        name = next((n for n in steps if n in environ), None)
        task = _read(environ, 'SLURM_PROCID', name) if name else None
    if 'SLURM_ARRAY_TASK_ID' in environ:
        array = _read_array(environ)
    if task is None or array is None:
        return task or array
    return Shard(
        array.index * task.count + task.index, array.count * task.count
    )


def _read(environ: Mapping[str, str], index: str, count: str) -> Shard:
    words = f'{index}={environ[index]}, {count}={environ[count]}'
    return _checked(
        _as_number(environ, index), _as_number(environ, count), words
    )


def _read_array(environ: Mapping[str, str]) -> Shard:
    """Return the index in a SLURM array of evenly spaced numbers."""
    prefix = 'SLURM_ARRAY_TASK_'
    number, first, last, count = (
        _as_number(environ, prefix + name)
        for name in ('ID', 'MIN', 'MAX', 'COUNT')
    )
    step = max(1, int(environ.get(f'{prefix}STEP', 1)))
    if len(range(first, last + 1, step)) != count:
        raise ValueError(
            f'--shard auto: the SLURM array has {count} tasks from {first} to '
            f'{last}, with gaps; give --shard I/N, such as --shard '
            f'${prefix}ID/{last + 1}'
        )
    return Shard((number - first) // step, count)


def _as_number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, '')
    if not text.isdecimal():
        raise ValueError(f'--shard auto: {name} is {text!r}, not a number')
    return int(text)


def _checked(index: int, count: int, words: str) -> Shard:
    if not 0 <= index < count:
        raise ValueError(f'{words}: {FORM}')
    return Shard(index, count)


# ------------------------------------------------------------------- writing


@dataclass
class ShardReport:
    """Result of one shard.

    Attributes:
        shard: The shard.
        path: Its file.
        summary: Counts of written results; None if it was finished before.
    """

    shard: Shard
    path: Path
    summary: Summary | None = field(default=None)

    def __str__(self) -> str:
        what = 'finished before' if self.summary is None else self.summary
        first, *errors = str(what).split('\n')
        return '\n'.join([f'{self.shard}: {first}; {self.path}', *errors])


def predict_shards(
    inferencer: PoseInferencer,
    inputs: Any,
    out_dir: str | Path,
    shard: str | Sequence[Shard] = 'auto',
    *,
    overwrite: bool = False,
    predict: Callable[[Iterator[Frame]], Iterator[PoseResult]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[ShardReport]:
    """Write the shards of this process, one Parquet file each.

    A file appears when its shard is finished. Existing files are read,
    compared with the inputs and settings, and skipped; torn files are written
    again.

    Args:
        inferencer: Its model is built for the first unfinished shard.
        inputs: See :class:`Collection`.
        out_dir: Folder of the files; created if necessary.
        shard: See :func:`find_shards`.
        overwrite: Whether finished shards are written again.
        predict: Called with the frames; None: the inferencer.
        settings: Other settings that affect the numbers, ready for
            ``json.dumps``.

    Yields:
        A report for each shard.

    Raises:
        ImportError: If pyarrow is not installed.
        ValueError: If there are no pictures; if the folder holds shards of
            other inputs, settings or another number; if not one picture of a
            shard can be read, as when a disk is missing: its file is not
            written.
    """
    require_pyarrow()
    shards = find_shards(shard) if isinstance(shard, str) else shard
    out_dir = Path(out_dir)
    collection = Collection(inputs)
    if not len(collection):
        raise ValueError(f'there are no pictures in {inputs}')
    out_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out_dir)
    _check_count(out_dir, shards)
    common = dict(
        version=__version__,
        settings=_identify({**inferencer.settings, **(settings or {})}),
    )
    for one in shards:
        facts = dict(common, **_describe(collection, one))
        report = ShardReport(one, out_dir / one.file_name)
        if overwrite or not _is_finished(report.path, facts):
            report.summary = _write(
                predict or inferencer, inferencer, collection, report, facts
            )
        yield report


def _write(
    predict: Callable[[Iterator[Frame]], Iterator[PoseResult]],
    inferencer: PoseInferencer,
    collection: Collection,
    report: ShardReport,
    facts: dict[str, Any],
) -> Summary:
    """Predict and write one shard."""
    sources = collection.read(*report.shard.cut(len(collection)))
    frames = chain.from_iterable(source.read() for source in sources)
    skeleton = describe_skeleton(inferencer.predictor.skeleton)
    summary = Summary(files=[report.path])
    with write_table(report.path, dict(facts, skeleton=skeleton)) as writer:
        for result in predict(frames):
            summary.count(result)
            writer.write(result)
        if summary.errors and not summary.images:
            name, why = next(iter(summary.errors.items()))
            raise ValueError(
                f'{report.shard}: none of its {facts["num_sources"]} pictures '
                f'can be read, and no file is written; {name}: {why}'
            )
    return summary


def _describe(collection: Collection, shard: Shard) -> dict[str, Any]:
    """Return the pictures of a shard."""
    start, stop = shard.cut(len(collection))
    names = hashlib.sha256()
    for name in collection.names(start, stop):
        names.update(os.fsencode(name) + b'\0')
    return dict(
        shard=shard.index,
        num_shards=shard.count,
        num_sources=stop - start,
        sources_sha256=names.hexdigest(),
    )


def _identify(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the hashes of the local files in them."""
    found = dict(settings)
    for name, value in settings.items():
        if not isinstance(value, str):
            continue
        for path in (Path(value), Path(value, 'model.json')):
            if path.is_file():
                found[f'{name}_sha256'] = find_sha256(path)
    return found


def _check_count(out_dir: Path, shards: Sequence[Shard]) -> None:
    """Refuse a folder with files of another number of shards."""
    counts = {count for _, count in find_files(out_dir)}
    wanted = {shard.count for shard in shards}
    if others := counts - wanted:
        raise ValueError(
            f'{out_dir} holds shards of {min(others)}, not of '
            f'{min(wanted)}; give the same number, or another folder'
        )


def _is_finished(path: Path, facts: dict[str, Any]) -> bool:
    """Return whether a shard exists, is whole and has these facts."""
    if not path.exists():
        return False
    if damage := find_damage(path):
        warn(f'{path} is damaged and is written again: {damage}')
        return False
    found = read_facts(path)
    for name, what in (('sources_sha256', 'inputs'), ('settings', '')):
        if found.get(name) == facts[name]:
            continue
        what = what or _differences(found.get(name, {}), facts[name])
        raise ValueError(
            f'{path} was written with other {what}; give another folder, or '
            '--overwrite to write it again'
        )
    return True


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Describe the settings that differ."""
    names = [n for n in {**old, **new} if old.get(n) != new.get(n)]
    return 'settings: ' + ', '.join(
        f'{name} {json.dumps(old.get(name))}, now {json.dumps(new.get(name))}'
        for name in names
    )


# ------------------------------------------------------------------- reading


def find_files(folder: Path) -> dict[tuple[int, int], Path]:
    """Return the shards' files of a folder by (index, count)."""
    found = {}
    for path in sorted(folder.glob('predictions-*-of-*.parquet')):
        if match := NAME.fullmatch(path.name):
            found[int(match[1]), int(match[2])] = path
    return found


def read_predictions(
    path: str | os.PathLike, partial: bool = False
) -> Iterator[PoseResult]:
    """Return results from Parquet files, in the order of the pictures.

    Args:
        path: A Parquet file of results, or a folder of shards or of the
            files that Ray Data wrote.
        partial: Whether shards may be missing.

    Returns:
        An iterator over one result for each picture or frame; their frames
        have no image.

    Raises:
        ImportError: If pyarrow is not installed.
        ValueError: If shards are missing, a file is torn, or there is none.
    """
    require_pyarrow()
    folder = Path(path)
    if not folder.is_dir():
        return read_file(folder)
    shards = find_files(folder)
    paths = list(shards.values()) or sorted(folder.glob('*.parquet'))
    if not paths:
        raise ValueError(f'{folder} holds no Parquet files')
    if shards and not partial:
        _check_complete(folder, shards)
    return chain.from_iterable(map(read_file, paths))


def _check_complete(
    folder: Path, shards: Mapping[tuple[int, int], Path]
) -> None:
    counts = {count for _, count in shards}
    if len(counts) > 1:
        raise ValueError(f'{folder} holds shards of {sorted(counts)} parts')
    [count] = counts
    missing = [i for i in range(count) if (i, count) not in shards]
    if missing:
        raise ValueError(
            f'{folder} lacks {len(missing)} of {count} shards: '
            f'{list_some(missing)}; run them, or read with partial=True'
        )

"""Pictures of a large collection by number: folders, lists, Parquet files.

Every process must see the same pictures in the same order, but read only its
own: the lines of a list file, or the row groups of a Parquet file, in its
part.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtpt_mm.apis.inputs import decode_image, list_files, read_inputs
from gtpt_mm.apis.results import Frame

from .table import require_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa

LIST_SUFFIXES = ('.txt', '.lst')
PARQUET = '.parquet'
#: Rows of a Parquet file that are in memory at once; pictures are large.
BATCH = 64
#: Columns of a Parquet file with the content of a picture file, and with its
#: path; the first existing one is used.
CONTENT_COLUMNS = ('image', 'bytes', 'content')
PATH_COLUMNS = ('path', 'source', 'url')


@dataclass(frozen=True)
class Source:
    """One picture, video or address, not yet read.

    Attributes:
        name: Its path or URL; for a row without one, its file and number.
        content: Bytes of its file; None: they are read from ``name``.
    """

    name: str
    content: bytes | None = None

    def read(self) -> Iterator[Frame]:
        """Yield its frame, or the frames of a video."""
        if self.content is None:
            yield from read_inputs(self.name)
        else:
            yield decode_image(self.content, self.name)


class Collection:
    """Pictures of several inputs, counted from 0.

    Args:
        inputs: Each of these: a folder, whose images and videos are taken
            by name, or, without any, its Parquet files; a pattern such as
            ``'shots/**/*.jpg'``; a ``.txt`` file with a path or URL in each
            line; a ``.parquet`` file with pictures (``image``, ``bytes`` or
            ``content``: bytes, or the Hugging Face struct of ``bytes`` and
            ``path``) or with their paths (``path``, ``source`` or ``url``);
            any other input of ``read_inputs`` by its name. Relative paths
            start at the working directory.

    Raises:
        ValueError: If a list or a Parquet file cannot be read, or holds no
            pictures.
    """

    def __init__(self, inputs: str | os.PathLike | Iterable) -> None:
        if isinstance(inputs, str | os.PathLike):
            inputs = [inputs]
        self._parts = [
            part for place in inputs for part in _split(os.fsdecode(place))
        ]

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def names(self, start: int, stop: int) -> Iterator[str]:
        """Yield the names of a range."""
        for part, first, last in self._cut(start, stop):
            yield from part.names(first, last)

    def read(self, start: int, stop: int) -> Iterator[Source]:
        """Yield the pictures of a range."""
        for part, first, last in self._cut(start, stop):
            yield from part.read(first, last)

    def _cut(self, start: int, stop: int) -> Iterator[tuple[Any, int, int]]:
        """Yield the parts of a range, each with its range inside the part."""
        for part in self._parts:
            first, last = max(start, 0), min(stop, len(part))
            if first < last:
                yield part, first, last
            start, stop = start - len(part), stop - len(part)


def _split(place: str) -> 'list[_Paths | _Lines | _Rows]':
    """Return the parts of one input."""
    suffix = os.path.splitext(place)[1].lower()
    if os.path.isdir(place):
        paths = list_files(place)
        tables = sorted(Path(place).glob(f'*{PARQUET}'))
        if not paths and tables:
            return [_Rows(str(path)) for path in tables]
        if not paths:
            raise ValueError(
                f'the folder {place} has no image, video or Parquet file; '
                "folders in it are not searched: give a pattern ('**/*.jpg')"
            )
        return [_Paths(paths)]
    if suffix in LIST_SUFFIXES:
        return [_Lines(place)]
    if suffix == PARQUET:
        return [_Rows(place)]
    paths = list_files(place)
    if paths is not None and not paths:
        raise ValueError(f'no image or video matches {place}')
    return [_Paths([place] if paths is None else paths)]


class _Paths:
    """Paths in memory."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def names(self, start: int, stop: int) -> Iterator[str]:
        yield from self._paths[start:stop]

    def read(self, start: int, stop: int) -> Iterator[Source]:
        yield from map(Source, self.names(start, stop))


class _Lines:
    """A text file with a path in each line; empty lines are ignored."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._num = sum(1 for _ in self._read())

    def __len__(self) -> int:
        return self._num

    def names(self, start: int, stop: int) -> Iterator[str]:
        for line in itertools.islice(self._read(), start, stop):
            yield os.fsdecode(line)

    def read(self, start: int, stop: int) -> Iterator[Source]:
        yield from map(Source, self.names(start, stop))

    def _read(self) -> Iterator[bytes]:
        with open(self._path, 'rb') as file:
            yield from filter(None, (line.strip(b'\r\n') for line in file))


class _Rows:
    """A Parquet file with pictures or their paths."""

    def __init__(self, path: str) -> None:
        require_pyarrow()
        self._path = path
        with self._open() as file:
            self._groups = [
                file.metadata.row_group(i).num_rows
                for i in range(file.metadata.num_row_groups)
            ]
            self._columns = find_columns(file.schema_arrow, path)
            content = self._columns[0]
            self._has_paths = content is not None and has_field(
                file.schema_arrow.field(content).type, 'path'
            )

    def __len__(self) -> int:
        return sum(self._groups)

    def names(self, start: int, stop: int) -> Iterator[str]:
        for name, _ in self._read(start, stop, with_content=False):
            yield name

    def read(self, start: int, stop: int) -> Iterator[Source]:
        for name, content in self._read(start, stop, with_content=True):
            yield Source(name, content)

    def _read(
        self, start: int, stop: int, with_content: bool
    ) -> Iterator[tuple[str, bytes | None]]:
        first = 0
        with self._open() as file:
            for group, num in enumerate(self._groups):
                if first < stop and start < first + num:
                    rows = self._read_group(file, group, first, with_content)
                    yield from itertools.islice(
                        rows, max(start - first, 0), stop - first
                    )
                first += num

    def _read_group(
        self, file: Any, group: int, first: int, with_content: bool
    ) -> Iterator[tuple[str, bytes | None]]:
        """Yield the rows of a group."""
        content, path = self._columns
        columns = [path] if path else []
        if content and with_content:
            columns.append(content)
        elif content and not path and self._has_paths:
            columns.append(f'{content}.path')
        for batch in file.iter_batches(BATCH, [group], columns):
            for row in range(batch.num_rows):
                yield read_row(
                    {n: batch[n][row] for n in batch.schema.names},
                    self._columns,
                    f'{self._path}#{first}',
                )
                first += 1

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self._path)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f'{self._path} is torn or not a Parquet file: {error}'
            ) from error
        with file:
            yield file


def has_field(kind: 'pa.DataType', name: str) -> bool:
    """Return whether a type is that of structs with a field."""
    import pyarrow as pa

    return pa.types.is_struct(kind) and kind.get_field_index(name) >= 0


def find_columns(
    schema: 'pa.Schema', place: str
) -> tuple[str | None, str | None]:
    """Return the columns with pictures and with paths; None if missing.

    Raises:
        ValueError: If there are neither, or one is of another type.
    """
    import pyarrow as pa

    names = set(schema.names)
    content = next((n for n in CONTENT_COLUMNS if n in names), None)
    path = next((n for n in PATH_COLUMNS if n in names), None)
    if content is None and path is None:
        raise ValueError(
            f'{place} has no pictures: a column {", ".join(CONTENT_COLUMNS)} '
            f'holds their files, or {", ".join(PATH_COLUMNS)} their paths; it '
            f'has {", ".join(schema.names)}'
        )
    if content is not None:
        kind = schema.field(content).type
        is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        if not (is_bytes or has_field(kind, 'bytes')):
            raise ValueError(
                f'the column {content} of {place} is of {kind}; pictures are '
                'the bytes of their files (jpg, png, ...), or a struct of '
                'bytes and path'
            )
    return content, path


def read_row(
    row: dict[str, Any], columns: tuple[str | None, str | None], other: str
) -> tuple[str, bytes | None]:
    """Return name and content of a row.

    Args:
        row: Scalars of pyarrow by column.
        columns: See :func:`find_columns`.
        other: Name of a row without one.
    """
    content, path = columns
    value = row[content].as_py() if content in row else None
    name = row[path].as_py() if path in row else None
    if isinstance(value, dict):
        name = name or value.get('path')
        value = value.get('bytes')
    if isinstance(name, bytes):  # a name that may not be UTF-8
        name = os.fsdecode(name)
    return name or other, value

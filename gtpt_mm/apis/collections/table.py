"""Results as Parquet files: a row for each picture, its people a list.

A picture without people and one that cannot be read also have a row: counting
rows shows that every picture is there exactly once. SQL engines turn the list
into a row for each person (``UNNEST``, ``explode``).

========  ==========================================================
source    path or URL of the picture or video
index     number of the frame in its video, from 0; null of a picture
time      seconds from the beginning of its video; null of a picture
width     pixels of the upright picture; null if it cannot be read
height    likewise
error     why it cannot be read, '' if it can
people    list of ``box_x1``, ``box_y1``, ``box_x2``, ``box_y2``,
          ``box_score`` and ``keypoints``, a list of ``x``, ``y`` and
          ``score`` in the order of the skeleton
========  ==========================================================

Numbers are float32, as the model gives them: not rounded, not clipped. Names
of keypoints, model and settings are JSON under the key ``gtpt_mm`` of the
file's metadata. In a source that is not UTF-8, such bytes become ``\\xff``.
"""

# N people of all pictures, K keypoints

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtpt_mm.apis.results import Frame, PoseResult, Skeleton
from gtpt_mm.compat.files.atomic_file import atomic_write

if TYPE_CHECKING:
    import pyarrow as pa

#: Key of our facts in the metadata of a file.
KEY = b'gtpt_mm'
#: Pictures kept in memory before they are written, as one row group.
ROW_GROUP = 4096
BOX = ('box_x1', 'box_y1', 'box_x2', 'box_y2', 'box_score')
POINT = ('x', 'y', 'score')


def require_pyarrow() -> None:
    """Raise if pyarrow is not installed.

    Raises:
        ImportError: If it is missing, with the command.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'Parquet files require pyarrow, which is not installed: pip '
            'install "gtpt_mm[parquet]"'
        ) from error


def people_type() -> 'pa.DataType':
    """Return the type of the people of one picture."""
    import pyarrow as pa

    point = pa.struct([(name, pa.float32()) for name in POINT])
    box = [(name, pa.float32()) for name in BOX]
    return pa.list_(pa.struct([*box, ('keypoints', pa.list_(point))]))


def make_schema(facts: dict[str, Any]) -> 'pa.Schema':
    """Return the columns, with facts as their metadata.

    Args:
        facts: ``skeleton`` and other facts about all rows, ready for
            ``json.dumps``.
    """
    import pyarrow as pa

    columns = [
        ('source', pa.string()),
        ('index', pa.int64()),
        ('time', pa.float64()),
        ('width', pa.int32()),
        ('height', pa.int32()),
        ('error', pa.string()),
        ('people', people_type()),
    ]
    return pa.schema(columns, {KEY: json.dumps(facts).encode()})


def describe_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """Return a skeleton for the facts of a file."""
    return asdict(skeleton)


def to_table(
    results: Sequence[PoseResult],
    schema: 'pa.Schema',
    sizes: Sequence[tuple[int, int] | None] | None = None,
) -> 'pa.Table':
    """Return results as rows.

    Args:
        results: One for each picture.
        schema: See :func:`make_schema`.
        sizes: (w, h) of each picture; None: those of the frames' images.
    """
    import pyarrow as pa

    frames = [result.frame for result in results]
    if sizes is None:
        sizes = [_size(frame) for frame in frames]
    columns = [
        [printable(frame.source) for frame in frames],
        [frame.index for frame in frames],
        [frame.time for frame in frames],
        [None if size is None else size[0] for size in sizes],
        [None if size is None else size[1] for size in sizes],
        [printable(frame.error) for frame in frames],
    ]
    arrays = [
        pa.array(values, field.type)
        for values, field in zip(columns, schema, strict=False)
    ]
    people = to_people(
        [len(result) for result in results],
        _join([result.boxes for result in results], 4),
        _join([result.box_scores for result in results]),
        np.concatenate(
            [
                np.dstack([result.keypoints, result.scores]).reshape(-1, 3)
                for result in results
            ]
            or [np.zeros((0, 3))]
        ),
    )
    return pa.Table.from_arrays([*arrays, people], schema=schema)


def to_people(
    counts: Sequence[int],
    boxes: np.ndarray,
    box_scores: np.ndarray,
    points: np.ndarray,
) -> 'pa.Array':
    """Return the column ``people``.

    Args:
        counts: Number of people of each picture.
        boxes: Boxes of the N people of all pictures, (N, 4).
        box_scores: (N,).
        points: (x, y, score) of all keypoints, (N * K, 3).
    """
    import pyarrow as pa

    num = len(boxes)
    each = len(points) // num if num else 0
    point = _struct(POINT, points.T)
    keypoints = pa.ListArray.from_arrays(_offsets([each] * num), point)
    columns = [_floats(values) for values in (*boxes.T, box_scores)]
    person = pa.StructArray.from_arrays(
        [*columns, keypoints], names=[*BOX, 'keypoints']
    )
    return pa.ListArray.from_arrays(_offsets(counts), person)


def _struct(names: Sequence[str], columns: Iterable[np.ndarray]) -> Any:
    import pyarrow as pa

    arrays = [_floats(values) for values in columns]
    return pa.StructArray.from_arrays(arrays, names=list(names))


def _floats(values: np.ndarray) -> 'pa.Array':
    import pyarrow as pa

    return pa.array(np.ascontiguousarray(values, np.float32))


def _offsets(counts: Sequence[int]) -> 'pa.Array':
    import pyarrow as pa

    return pa.array(np.cumsum([0, *counts]), pa.int32())


def _join(arrays: list[np.ndarray], *width: int) -> np.ndarray:
    """Concatenate arrays; without any, return an empty one."""
    return np.concatenate([np.zeros((0, *width), np.float32), *arrays])


def _size(frame: Frame) -> tuple[int, int] | None:
    """Return (w, h) of a frame's image."""
    if frame.image is None:
        return None
    return frame.image.shape[1], frame.image.shape[0]


def printable(name: str) -> str:
    """Return a name as UTF-8, with ``\\xff`` for invalid bytes."""
    content = str(name).encode(errors='surrogateescape')
    return content.decode(errors='backslashreplace')


@contextlib.contextmanager
def write_table(path: Path, facts: dict[str, Any]) -> Iterator['TableWriter']:
    """Write results to one Parquet file, whole or not at all.

    Each page has a checksum. The file appears at the end of the block, unless
    the block raises.

    Args:
        path: The file.
        facts: See :func:`make_schema`.

    Yields:
        The writer of results.
    """
    require_pyarrow()
    import pyarrow.parquet as pq

    schema = make_schema(facts)
    with (
        atomic_write(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression='zstd',
            write_page_checksum=True,
            use_dictionary=['error'],  # for numbers it would double the file
        ) as file,
    ):
        writer = TableWriter(file, schema)
        yield writer
        writer.flush()


class TableWriter:
    """Write results in groups of rows: a file may exceed the memory.

    Args:
        file: Open ``pyarrow.parquet.ParquetWriter``.
        schema: Schema of the file.
    """

    def __init__(self, file: Any, schema: 'pa.Schema') -> None:
        self._file = file
        self._schema = schema
        self._rows: list[PoseResult] = []
        self._sizes: list[tuple[int, int] | None] = []

    def write(self, result: PoseResult) -> None:
        """Write one result; its pixels are freed."""
        self._sizes.append(_size(result.frame))
        frame = replace(result.frame, image=None)
        self._rows.append(replace(result, frame=frame))
        if len(self._rows) >= ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._rows:
            table = to_table(self._rows, self._schema, self._sizes)
            self._file.write_table(table)
            self._rows, self._sizes = [], []


# ------------------------------------------------------------------- reading


def read_facts(path: str | os.PathLike) -> dict[str, Any]:
    """Return the facts of a Parquet file of results.

    Raises:
        ValueError: If it is torn, or not such a file.
    """
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid as error:
        raise ValueError(
            f'{path} is torn or not a Parquet file: {error}'
        ) from (error)
    if KEY not in metadata:
        raise ValueError(
            f'{path} holds no results of gtpt_mm: its metadata has no key '
            f'{KEY.decode()!r}'
        )
    return json.loads(metadata[KEY])


def find_damage(path: Path) -> str:
    """Return why a file cannot be read to its end; '' if it can.

    All pages are read, and their checksums compared.
    """
    require_pyarrow()
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches(ROW_GROUP):
                pass
        read_facts(path)
    except Exception as error:  # damaged bytes cause any error
        return str(error) or type(error).__name__
    return ''


def read_file(path: str | os.PathLike) -> Iterator[PoseResult]:
    """Yield the results of one Parquet file, in the order of its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    skeleton = _read_skeleton(read_facts(path)['skeleton'])
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(ROW_GROUP):
            yield from to_results(pa.Table.from_batches([batch]), skeleton)


def to_results(table: 'pa.Table', skeleton: Skeleton) -> list[PoseResult]:
    """Return the results of rows; the frames have no image."""
    table = table.combine_chunks()
    people = table['people'].combine_chunks().cast(people_type())
    person = people.flatten()
    boxes = np.column_stack([_values(person.field(name)) for name in BOX])
    points = person.field('keypoints').flatten()
    stacked = np.column_stack([_values(points.field(n)) for n in POINT])
    stacked = stacked.reshape(-1, len(skeleton.names), 3)
    ends = np.cumsum(people.value_lengths().to_numpy(zero_copy_only=False))
    names = ('source', 'index', 'time', 'error')
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    found = []
    start = 0
    for (source, index, time, error), end in zip(rows, ends, strict=True):
        found.append(
            PoseResult(
                keypoints=stacked[start:end, :, :2],
                scores=stacked[start:end, :, 2],
                boxes=boxes[start:end, :4],
                box_scores=boxes[start:end, 4],
                skeleton=skeleton,
                frame=Frame(None, source, index, time, error),
            )
        )
        start = end
    return found


def _values(array: 'pa.Array') -> np.ndarray:
    return array.to_numpy(zero_copy_only=False)


def _read_skeleton(plain: dict[str, Any]) -> Skeleton:
    """Return the skeleton of :func:`describe_skeleton`."""
    values = {f.name: plain[f.name] for f in fields(Skeleton)}
    return Skeleton(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    return value

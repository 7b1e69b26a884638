"""Stages of a prediction, from table to table: decode, detect, pose.

Each may run in a process of its own. Between them a picture is a row with its
pixels as bytes, and after the detector with its boxes; the last stage returns
the columns of ``table.py``.
"""

# n people of one image

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gtpt_mm.apis.detectors import Detector
from gtpt_mm.apis.pose_inferencer import (
    PeopleQueue,
    PoseInferencer,
    check_frames,
    detect_people,
    read_ahead,
)
from gtpt_mm.apis.results import Frame, PoseResult

from .sources import Source, find_columns, read_row
from .table import printable, to_table

if TYPE_CHECKING:
    import pyarrow as pa

#: Number of pictures in one table of pixels.
PICTURES = 16


def decode(batch: 'pa.Table') -> 'Iterator[pa.Table]':
    """Yield the pixels of pictures; a video has a row for each frame.

    Args:
        batch: Rows with pictures or their paths, see ``find_columns``. A
            picture without a name gets the SHA-256 of its file as name.
    """
    columns = find_columns(batch.schema, 'the dataset')
    frames = check_frames(
        frame
        for row in range(len(batch))
        for frame in _source(batch, row, columns).read()
    )
    for chunk in read_ahead(((frame, None) for frame in frames), PICTURES):
        yield to_pixels(frame for frame, _ in chunk)


def _source(
    batch: 'pa.Table', row: int, columns: tuple[str | None, str | None]
) -> Source:
    values = {name: batch[name][row] for name in columns if name}
    name, content = read_row(values, columns, '')
    if not name and content is not None:
        name = f'sha256:{hashlib.sha256(content).hexdigest()}'
    return Source(name, content)


def to_pixels(frames: Iterable[Frame]) -> 'pa.Table':
    """Return frames as rows."""
    import pyarrow as pa

    rows = list(frames)
    images = [frame.image for frame in rows]
    return pa.table(
        dict(
            source=pa.array([printable(f.source) for f in rows], pa.string()),
            index=pa.array([f.index for f in rows], pa.int64()),
            time=pa.array([f.time for f in rows], pa.float64()),
            error=pa.array([printable(f.error) for f in rows], pa.string()),
            shape=pa.array(
                [None if i is None else i.shape for i in images],
                pa.list_(pa.int32()),
            ),
            pixels=pa.array(
                [None if i is None else i.tobytes() for i in images],
                pa.large_binary(),
            ),
        )
    )


def to_frames(table: 'pa.Table') -> list[Frame]:
    """Return the frames of rows of pixels."""
    names = ('source', 'index', 'time', 'error', 'shape')
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    frames = []
    for number, (source, index, time, error, shape) in enumerate(rows):
        image = None
        if shape is not None:
            content = table['pixels'][number].as_buffer()
            image = np.frombuffer(content, np.uint8).reshape(shape).copy()
        frames.append(Frame(image, source, index, time, error))
    return frames


class DetectStage:
    """Add the boxes of the people to pictures.

    Args:
        detector: Its network is built here.
    """

    def __init__(self, detector: Detector) -> None:
        detector.prepare()
        self._detector = detector

    def __call__(self, table: 'pa.Table') -> 'pa.Table':
        """Return the rows with ``boxes``: (x1, y1, x2, y2, score), flat."""
        import pyarrow as pa

        frames = to_frames(table)
        images = [f.image for f in frames if f.image is not None]
        found = iter(detect_people(self._detector, images) if images else ())
        boxes: list[Any] = [
            [] if frame.image is None else next(found).ravel()
            for frame in frames
        ]
        column = pa.array(boxes, pa.list_(pa.float32()))
        return table.append_column('boxes', column)


class PoseStage:
    """Turn pictures into the people in them.

    Args:
        inferencer: Its pose model is built here; its detector is not used.
        schema: Schema of the result.
    """

    def __init__(
        self, inferencer: PoseInferencer, schema: 'pa.Schema'
    ) -> None:
        inferencer.predictor.build()
        self._inferencer = inferencer
        self._schema = schema

    def __call__(self, table: 'pa.Table') -> 'pa.Table':
        """Return a row for each picture."""
        frames = to_frames(table)
        return to_table(list(self._predict(frames, table)), self._schema)

    def _predict(
        self, frames: list[Frame], table: 'pa.Table'
    ) -> Iterator[PoseResult]:
        if 'boxes' not in table.schema.names:
            yield from self._inferencer.predict_images(frames)
            return
        boxes: list[Any] = table['boxes'].to_pylist()
        queue = PeopleQueue(
            self._inferencer.predictor, self._inferencer.batch_size
        )
        queue.add(
            (frame, np.array(rows, np.float32).reshape(-1, 5))
            for frame, rows in zip(frames, boxes, strict=True)
        )
        yield from queue.take(is_last=True)

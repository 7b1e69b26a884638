"""Write results as lines, tables, COCO's results and pictures."""

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.compat.messages import list_some, warn

from .pictures import PictureNames, VideoPicture, write_picture
from .results import PoseResult

#: Files of each format in the output folder.
FILES = dict(
    jsonl='predictions.jsonl', csv='predictions.csv', coco='predictions.json'
)
#: Columns of the CSV file, a row for each keypoint.
COLUMNS = (
    'source', 'index', 'time', 'person', 'id', 'keypoint', 'x', 'y', 'score',
    'box_x1', 'box_y1', 'box_x2', 'box_y2', 'box_score',
)  # fmt: skip


@dataclass
class Summary:
    """Counts of the written results.

    Attributes:
        images: Number of images and frames of videos, without errors.
        frames: Number of frames of videos among them.
        people: Number of people in them.
        errors: Why an input could not be read, by its source.
        files: Files with the results, without the pictures.
        pictures: Number of pictures, without frames of videos, and videos.
    """

    images: int = 0
    frames: int = 0
    people: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    pictures: int = 0

    def count(self, result: PoseResult) -> None:
        """Count one result."""
        if result.error:
            self.errors[str(result.frame.source)] = result.error
        else:
            self.images += 1
            self.frames += result.frame.index is not None
            self.people += len(result)

    def __str__(self) -> str:
        counts = {
            'images': self.images - self.frames,
            'frames of videos': self.frames,
        }
        seen = [f'{num:,} {word}' for word, num in counts.items() if num]
        lines = [
            f'{", ".join(seen) or "0 images"}, {self.people:,} people, '
            f'{len(self.errors):,} errors'
        ]
        lines += [f'  {name}: {why}' for name, why in self.errors.items()]
        # Names that are no UTF-8 cannot be printed.
        return '\n'.join(lines).encode(errors='backslashreplace').decode()


def write_results(
    results: Iterable[PoseResult], out_dir: str | Path, **options: Any
) -> Summary:
    """Write results to a folder as they come; see :class:`ResultWriter`.

    Args:
        results: Results of an inferencer.
        out_dir: The folder; created if necessary.
        **options: Those of :class:`ResultWriter`.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from gtpt_mm.apis.results import Frame, Skeleton
        >>> frame = Frame(np.zeros((40, 60, 3), np.uint8), 'shots/a.jpg')
        >>> result = PoseResult.empty(Skeleton(('nose',)), frame)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(write_results([result], folder))
        ...     sorted(os.listdir(folder))
        1 images, 0 people, 0 errors
        ['a.jpg', 'predictions.csv', 'predictions.jsonl']
    """
    with ResultWriter(out_dir, **options) as writer:
        for result in results:
            writer.write(result)
    return writer.summary


class ResultWriter:
    """Write results to a folder, one by one.

    - ``predictions.jsonl``: a line for each image, ``PoseResult.to_dict()``
      with the name of its ``picture``
    - ``predictions.csv``: a row for each keypoint
    - ``predictions.json``: COCO's keypoint results, written at the end
    - a picture for each image and a video for each video, with the name of the
      input. If that name is taken, by an input of another folder or by a file
      that may not be replaced, it gets a number: ``a.jpg``, ``a_2.jpg``. An
      array is ``input_3.jpg``.

    Pictures of an earlier run in an overwritten folder stay; a warning says
    so.

    Lines are flushed one by one: an interrupted process leaves whole lines,
    and videos that play. Use it in a ``with`` block.

    Args:
        out_dir: The folder; created if necessary.
        draw: Whether pictures and videos are written.
        formats: Any of ``jsonl``, ``csv`` and ``coco``.
        threshold: Keypoints of a lower score are not drawn.
        overwrite: Whether files of the folder may be replaced.
        image_ids: COCO's id of each image by its source or base name. By
            default it is the number that is the image's name, or, if any image
            lacks one, its line in ``predictions.jsonl``, from 1.

    Attributes:
        summary: Counts of the results so far.

    Raises:
        ValueError: If a format is unknown, or a file with results exists.
    """

    def __init__(
        self,
        out_dir: str | Path,
        draw: bool = True,
        formats: Iterable[str] = ('jsonl', 'csv'),
        threshold: float = 0.3,
        overwrite: bool = False,
        image_ids: Mapping[str, int] | None = None,
    ) -> None:
        self.out_dir = Path(out_dir)
        self.formats = [formats] if isinstance(formats, str) else [*formats]
        for name in self.formats:
            if name not in FILES:
                raise ValueError(
                    f'{name!r} is not a format; choose from {", ".join(FILES)}'
                )
        self.summary = Summary()
        self.summary.files = [self.out_dir / FILES[n] for n in self.formats]
        for file in self.summary.files:
            if file.exists() and not overwrite:
                raise ValueError(
                    f'{file} exists; give another folder, or overwrite it'
                )
        self.image_ids = image_ids
        self._threshold = threshold
        self._draws = draw
        self._names = PictureNames(self.out_dir, overwrite)
        self._open: dict[str, BinaryIO] = {}
        self._coco: list[PoseResult] = []
        self._old_pictures: list[str] = []
        self._video: VideoPicture | None = None

    def __enter__(self) -> 'ResultWriter':
        self.out_dir.mkdir(parents=True, exist_ok=True)
        self._old_pictures = _read_pictures(self.out_dir / FILES['jsonl'])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._video:
                self._video.close()
            if kind is None:  # write files even without a result
                for name in {'jsonl', 'csv'}.intersection(self.formats):
                    self._append(name, '')
            if 'coco' in self.formats and (kind is None or self._coco):
                self._write_coco()
            if kind is None:
                self._tell_old_pictures()
        finally:
            for file in self._open.values():
                file.close()

    def write(self, result: PoseResult) -> None:
        """Write one result; those of a video come one after the other."""
        self.summary.count(result)
        plain = result.to_dict()
        if self._draws and (name := self._draw(result)):
            plain['picture'] = name
        if 'jsonl' in self.formats:
            self._append('jsonl', json.dumps(plain, allow_nan=False) + '\n')
        if 'csv' in self.formats:
            self._append('csv', _as_csv(_rows(plain)))
        if 'coco' in self.formats:
            frame = replace(result.frame, image=None)
            self._coco.append(replace(result, frame=frame))

    def _append(self, name: str, text: str) -> None:
        """Write text to a file of the folder in one call, and flush it."""
        if name not in self._open:
            self._open[name] = (self.out_dir / FILES[name]).open('wb')
            if name == 'csv':
                text = _as_csv([COLUMNS]) + text
        # File names need not be UTF-8: their bytes are kept.
        self._open[name].write(text.encode(errors='surrogateescape'))
        self._open[name].flush()

    def _draw(self, result: PoseResult) -> str:
        """Write the picture of a result; return its name, '' for none."""
        frame = result.frame
        if self._video and not self._video.is_followed_by(frame):
            self._video.close()
            self._video = None
        if frame.image is None:
            return ''
        picture = result.draw(threshold=self._threshold)
        if frame.index is None:
            path = self._names.choose(frame)
            write_picture(path, picture)
            self.summary.pictures += 1
            return path.name
        if self._video is None:
            self._video = VideoPicture(self._names.choose(frame), frame)
            self.summary.pictures += 1
        self._video.write(frame, picture)
        return self._video.path.name

    def _tell_old_pictures(self) -> None:
        """Warn of pictures that do not belong to these results."""
        old = [
            name
            for name in self._old_pictures
            if not self._names.has_chosen(name)
            and (self.out_dir / name).is_file()
        ]
        if old:
            warn(
                f'{self.out_dir} still holds {len(old)} pictures and videos '
                f'of a former run: {list_some(old)}'
            )

    def _write_coco(self) -> None:
        """Write COCO's results of all images at once."""
        found: list[dict] = []
        left_out = 0
        for result, image_id in zip(self._coco, self._coco_ids(), strict=True):
            left_out += image_id is None
            if image_id is not None:
                found += result.to_coco(image_id)
        if left_out:
            warn(f'{left_out} images without an id are not in COCO results')
        with atomic_write(self.out_dir / FILES['coco']) as file:
            file.write_text(json.dumps(found), encoding='utf-8')

    def _coco_ids(self) -> list[int | None]:
        """Return COCO's id of each image, None for one without."""
        frames = [result.frame for result in self._coco]
        if self.image_ids is not None:
            return [find_by_name(self.image_ids, f.source) for f in frames]
        stems = [Path(frame.source).stem for frame in frames]
        are_numbers = all(stem.isdecimal() for stem in stems)
        if are_numbers and len(set(map(int, stems))) == len(stems):
            return [int(stem) for stem in stems]
        return list(range(1, len(frames) + 1))


def _read_pictures(file: Path) -> list[str]:
    """Return the names of pictures in an older file of lines, each once."""
    names: dict[str, None] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        for line in file.read_text(encoding='utf-8').splitlines():
            if name := json.loads(line).get('picture'):
                names[str(name)] = None
    return [name for name in names if name == Path(name).name]


def find_by_name(values: Mapping[str, Any], source: str) -> Any:
    """Return the value of a source or its base name; None if missing."""
    return values.get(source, values.get(Path(source).name))


def _rows(plain: dict) -> list[list]:
    """Return the rows of a result's dict, by ``COLUMNS``."""
    image = [plain.get(name) for name in COLUMNS[:3]]
    return [
        [*image, number, person.get('id'), name, *point, score, *person['box']]
        + [person['box_score']]
        for number, person in enumerate(plain['people'])
        for name, point, score in zip(
            plain['names'], person['keypoints'], person['scores'], strict=True
        )
    ]


def _as_csv(rows: Iterable[Iterable]) -> str:
    """Return rows as lines of comma-separated values; None is empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue()

"""The labelling loop: predictions as a set that people correct in a tool.

``gtpt-mm predict PICTURES --to cvat --uncertain-first 50`` uses this module:
frames become pictures of a :class:`~gtpt_mm.datasets.exchange.KeypointSet`,
the most uncertain ones first, with ids that ``gtpt-mm data import``
recognises.
"""

# K keypoints

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.datasets.exchange.formats import is_export, write_set
from gtpt_mm.datasets.exchange.keypoint_set import (
    Instance,
    KeypointSet,
    Picture,
)
from gtpt_mm.datasets.exchange.new_folder import check_new_folder

from .results import Frame, PoseResult, Skeleton
from .uncertainty import MeasuringPredictor, summarize
from .writing import find_by_name

#: Formats of annotation tools that predictions are written for.
TOOLS = ('cvat', 'label-studio', 'coco')
#: Table beside the files of the tool.
TABLE = 'uncertainty.csv'
JPEG_QUALITY = 95


@dataclass
class _Row:
    """A collected picture: its predictions and their uncertainty."""

    picture: Picture
    uncertainty: float = np.nan


@dataclass
class LabellingSet:
    """Collect predictions; return the most uncertain pictures as a set.

    Ids are numbers in the order of the inputs, from 1, or those of
    ``image_ids``; they do not depend on how pictures are sorted or chosen.
    Pictures without people come last: a person must look at them anyway.

    Attributes:
        skeleton: Names and links of the keypoints.
        most: Largest number of pictures to return; None for all.
        predictor: Measures the uncertainty; None keeps the input order.
        image_ids: Ids of pictures by source or base name.
        category: Name of the annotated category.
    """

    skeleton: Skeleton
    most: int | None = None
    predictor: MeasuringPredictor | None = None
    image_ids: Mapping[str, int] | None = None
    category: str = ''
    errors: dict[str, str] = field(default_factory=dict)
    _rows: list[_Row] = field(default_factory=list)
    _num_frames: int = 0
    _num_people: int = 0

    def add(self, result: PoseResult) -> None:
        """Take the people of a frame; those of all frames, in their order."""
        self._num_frames += 1
        if result.error or result.frame.image is None:
            self.errors[str(result.frame.source)] = result.error
            return
        row = _Row(self._picture(result.frame))
        row.picture.instances = self._instances(result)
        if self.predictor is not None:
            measured = [
                self.predictor.measured.popleft() for _ in range(len(result))
            ]
            row.uncertainty = summarize(measured)
        self._rows.append(row)
        self._forget()

    def _forget(self) -> None:
        """Free the pixels of frames that will not be returned."""
        if self.most is not None and len(self._rows) % (2 * self.most) == 0:
            for row in self._sorted()[self.most :]:
                row.picture.content = None

    def _sorted(self) -> list[_Row]:
        if self.predictor is None:
            return self._rows
        return sorted(
            self._rows, key=lambda row: -np.nan_to_num(row.uncertainty, nan=-1)
        )

    def _picture(self, frame: Frame) -> Picture:
        height, width = frame.image.shape[:2]  # type: ignore[union-attr]
        path = Path(frame.source)
        is_file = frame.index is None and path.is_file()
        number: int | None = self._num_frames
        if self.image_ids and frame.index is None:
            number = find_by_name(self.image_ids, frame.source)
        picture = Picture(
            name=str(frame.source),
            width=width,
            height=height,
            path=path if is_file else None,
            id='' if number is None else number,
        )
        if not is_file:
            stem = path.stem or 'input'
            picture.name = f'{stem}.jpg'
            if frame.index is not None:
                picture.name = f'{stem}/{frame.index:06d}.jpg'
                picture.group = path.name
            picture.content = _encode(frame.image)
        return picture

    def _instances(self, result: PoseResult) -> list[Instance]:
        """Return the people; points outside the picture are not labels."""
        found = []
        height, width = result.frame.image.shape[:2]  # type: ignore
        for number in range(len(result)):
            self._num_people += 1
            points = np.asarray(result.keypoints[number], float)
            inside = np.isfinite(points).all(1) & (points >= 0).all(1)
            inside &= (points <= (width, height)).all(1)
            box = np.asarray(result.boxes[number], float)
            box = np.clip(box, 0, [width, height, width, height])
            x1, y1, x2, y2 = box.tolist()
            found.append(
                Instance(
                    keypoints=np.where(inside[:, None], points, 0.0),
                    visible=np.where(inside, 2, 0),
                    bbox=(x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None,
                    id=self._num_people,
                    score=float(result.box_scores[number]),
                    keypoint_scores=np.clip(result.scores[number], 0, 1),
                )
            )
        return found

    def to_set(self) -> KeypointSet:
        """Return the pictures to correct, the most uncertain first."""
        rows = self._sorted()[: self.most]
        paths = [row.picture.path for row in rows if row.picture.path]
        base = _common_folder(paths)
        for row in rows:
            if row.picture.path:
                place = row.picture.path.absolute()
                row.picture.name = place.relative_to(base).as_posix()
        names = self.skeleton.names
        swap = {}
        for a, b in self.skeleton.flip_pairs:
            swap.update({names[a]: names[b], names[b]: names[a]})
        return KeypointSet(
            names=list(names),
            pictures=[row.picture for row in rows],
            links=[(names[a], names[b]) for a, b in self.skeleton.links],
            swap=swap,
            category=self.category or self.skeleton.dataset or 'instance',
        )

    def write(
        self, out: Path, tool: str, link: bool = False, overwrite: bool = False
    ) -> KeypointSet:
        """Write the files of a tool, and the table of all pictures.

        Args:
            out: The folder; made here.
            tool: One of :data:`TOOLS`.
            link: Whether pictures are linked instead of copied.
            overwrite: Whether a folder of this method may be replaced.

        Returns:
            The written set.
        """
        chosen = self.to_set()
        write_set(chosen, out, tool, link=link, overwrite=overwrite)
        if self.predictor is not None:
            with atomic_write(out / TABLE) as temporary:
                temporary.write_text(self._table(), encoding='utf-8')
        return chosen

    @property
    def num_pictures(self) -> int:
        """Number of pictures that were read."""
        return len(self._rows)

    def summary(self) -> str:
        """Return counts and errors in lines."""
        empty = sum(not row.picture.instances for row in self._rows)
        lines = [
            f'{len(self._rows):,} images, {self._num_people:,} people, '
            f'{empty:,} images without people, {len(self.errors):,} errors'
        ]
        lines += [f'  {name}: {why}' for name, why in self.errors.items()]
        return '\n'.join(lines).encode(errors='backslashreplace').decode()

    def _table(self) -> str:
        """Return a line for each picture, the most uncertain first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(['rank', 'picture', 'id', 'people', 'uncertainty'])
        for rank, row in enumerate(self._sorted(), 1):
            value = row.uncertainty
            writer.writerow(
                [
                    rank,
                    row.picture.name,
                    row.picture.id,
                    len(row.picture.instances),
                    '' if np.isnan(value) else f'{value:.4f}',
                ]
            )
        return text.getvalue().encode(errors='backslashreplace').decode()


def check_out(out: Path, overwrite: bool) -> None:
    """Raise before the work begins if a folder may not be written."""
    check_new_folder(out, overwrite, is_export)


def collect(results: Iterable[PoseResult], into: LabellingSet) -> LabellingSet:
    """Add all results to a set, and return it."""
    for result in results:
        into.add(result)
    return into


def _encode(image: Any) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode('.jpg', image, options)[1].tobytes()


def _common_folder(paths: Iterable[Path]) -> str:
    """Return the deepest folder that contains all files."""
    folders = [str(path.absolute().parent) for path in paths]
    return os.path.commonpath(folders) if folders else ''

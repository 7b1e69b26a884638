"""Images and videos in, the people in them out, in full batches."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from torch import nn

from gtpt_mm.compat.inference.inferencer_boxes import as_boxes
from gtpt_mm.compat.inference.inferencer_inputs import as_image
from gtpt_mm.compat.messages import warn

from .detectors import Detector, make_detector
from .inputs import read_inputs
from .predictor import Predictor, find_excess
from .results import Frame, PoseResult

#: Bytes of pixels that are read ahead at most, one image at least.
LOOK_AHEAD = 256 * 2**20
NO_IMAGE = 'the frame has no image'


class PoseInferencer:
    """Finds people and their keypoints in any number of images.

    Detector and pose model get full batches across images: the people of one
    image may be in two batches, and a batch may hold people of many images. At
    most ``batch_size`` images, or 256 MiB of pixels, are read ahead, so videos
    may have any length.

    Args:
        model: See :class:`Predictor`.
        detector: Detector of people for a top-down model, see
            ``make_detector``; a function takes one image (BGR, uint8) and
            returns boxes (n, 4), or (boxes, scores). It is built at the first
            image without given boxes.
        device: See :class:`Predictor`; also the device of the detector.
        dtype: See :class:`Predictor`.
        batch_size: Largest number of people, and of images, in one pass.
        runtime: See :class:`Predictor`.
        weights: See :class:`Predictor`.
        dataset: See :class:`Predictor`.
        flip_test: See :class:`Predictor`.
        threshold: Lowest score of a box of the detector.

    Example:
        >>> inferencer = PoseInferencer('gtpt-t')  # doctest: +SKIP
        >>> for result in inferencer('photos/'):  # doctest: +SKIP
        ...     print(result.frame.source, result.keypoints.shape)
    """

    #: Class that predicts the people in boxes or images.
    predictor_type: type[Predictor] = Predictor

    def __init__(
        self,
        model: str | os.PathLike | Config | nn.Module,
        detector: str | Path | Callable | Detector = 'auto',
        device: str = 'auto',
        dtype: str = 'auto',
        batch_size: int = 32,
        runtime: str = 'torch',
        *,
        weights: str | os.PathLike | None = None,
        dataset: str | None = None,
        flip_test: bool | None = None,
        threshold: float = 0.3,
    ) -> None:
        self.predictor = self.predictor_type(
            model,
            weights,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            flip_test=flip_test,
            dataset=dataset,
            runtime=runtime,
        )
        self.batch_size = batch_size
        self.threshold = threshold
        self._detector = detector
        self._built_detector: Detector | None = None

    @property
    def detector(self) -> Detector:
        """The detector, which is built at its first use."""
        if self._built_detector is None:
            self._built_detector = make_detector(
                self._detector,
                device=str(self.predictor.device),
                threshold=self.threshold,
            )
        return self._built_detector

    @property
    def settings(self) -> dict[str, str | bool | float | None]:
        """Settings that affect the numbers, as plain values; no device."""
        detector: Any = self._detector
        if not isinstance(detector, str | Path):
            detector = getattr(detector, 'name', None) or getattr(
                detector, '__name__', type(detector).__name__
            )
        return dict(
            self.predictor.settings,
            detector=str(detector),
            box_threshold=self.threshold,
        )

    def __call__(
        self, inputs: Any, boxes: Iterable | None = None
    ) -> Iterator[PoseResult]:
        """Return the results of all images, in their order, as they come.

        Args:
            inputs: Any input of ``read_inputs``; also an iterable of
                :class:`Frame`.
            boxes: Boxes of each image, (n, 4), or (n, 5) with scores; n may be
                0. For a single image, its boxes without a list around them. An
                iterator may have more entries than there are images. A file
                that cannot be read needs an entry as well, but the error that
                ends a torn video does not.

        Returns:
            One result for each image. One that cannot be read has an
            ``error`` and no people.

        Raises:
            ValueError: If boxes are wrong, or the model takes none; the
                results of earlier images come first.
        """
        if boxes is not None and not self.predictor.needs_boxes:
            raise ValueError(
                'boxes were given, but the model finds the people by itself'
            )
        frames = check_frames(read_inputs(inputs))
        work = (
            ((frame, None) for frame in frames)
            if boxes is None
            else pair(frames, boxes)
        )
        return self._run(work)

    def _run(
        self, work: Iterator[tuple[Frame, np.ndarray | None]]
    ) -> Iterator[PoseResult]:
        queue = PeopleQueue(self.predictor, self.batch_size)
        if self._detector != 'auto' and not self.predictor.needs_boxes:
            warn(
                f'detector={self._detector!r} is not used: the model finds '
                'the people by itself'
            )
        chunks = read_ahead(work, self.batch_size)
        problem: Exception | None = None
        while True:
            try:
                chunk = next(chunks, None)
            except Exception as error:  # such as a wrong box
                chunk, problem = None, error
            if chunk is None:
                break
            if self.predictor.needs_boxes:
                queue.add(self._find_people(chunk))
                yield from queue.take()
            else:
                yield from self.predict_images([frame for frame, _ in chunk])
        yield from queue.take(is_last=True)
        if problem is not None:
            raise problem

    def _find_people(
        self, chunk: list[tuple[Frame, np.ndarray | None]]
    ) -> list[tuple[Frame, np.ndarray]]:
        """Return frames with their boxes and scores, (n, 5)."""
        nobody = np.zeros((0, 5), np.float32)
        todo = [
            frame.image
            for frame, boxes in chunk
            if boxes is None and frame.image is not None
        ]
        detected = iter(detect_people(self.detector, todo) if todo else ())
        found = []
        for frame, boxes in chunk:
            if frame.image is None:
                boxes = nobody
            elif boxes is None:
                boxes = next(detected)
            found.append((frame, boxes))
        return found

    def predict_images(self, frames: list[Frame]) -> Iterator[PoseResult]:
        """Yield the results of a model that finds the people itself."""
        good = [f for f in frames if f.image is not None]
        found = self.predictor(dict(images=[f.image for f in good]))
        skeleton = self.predictor.skeleton
        number = 0
        for frame in frames:
            if frame.image is None:
                yield PoseResult.empty(skeleton, frame)
                continue
            rows = found['image_index'] == number
            number += 1
            yield PoseResult(
                keypoints=found['keypoints'][rows],
                scores=found['scores'][rows],
                boxes=found['boxes'][rows],
                box_scores=found['box_scores'][rows],
                skeleton=skeleton,
                frame=frame,
            )


def detect_people(
    detector: Detector, images: list[np.ndarray]
) -> list[np.ndarray]:
    """Return boxes with an area and their scores, (n, 5) per image.

    Raises:
        ValueError: If the detector returns another number of results.
    """
    found = list(detector(images))
    if len(found) != len(images):
        raise ValueError(
            f'the detector returned {len(found)} results for '
            f'{len(images)} images'
        )
    people = []
    for boxes, scores in found:
        rows = np.hstack(
            [
                np.asarray(boxes, np.float32).reshape(-1, 4),
                np.asarray(scores, np.float32).reshape(-1, 1),
            ]
        )
        has_area = (rows[:, 2:4] > rows[:, :2]).all(1)
        people.append(rows[has_area & np.isfinite(rows).all(1)])
    return people


@dataclass
class _Waiting:
    """A frame and the results of its people so far.

    Attributes:
        frame: The frame.
        boxes: Boxes with scores, (n, 5).
        keypoints: Keypoints of the first people, (K, 2) each.
        scores: Scores of the first people, (K,) each.
    """

    frame: Frame
    boxes: np.ndarray
    keypoints: list[np.ndarray]
    scores: list[np.ndarray]

    @property
    def num_left(self) -> int:
        """People without a pose."""
        return len(self.boxes) - len(self.keypoints)


class PeopleQueue:
    """Frames whose people wait for a full batch.

    Args:
        predictor: Predictor of a top-down model.
        batch_size: People in a batch.
    """

    def __init__(self, predictor: Predictor, batch_size: int) -> None:
        self.predictor = predictor
        self.batch_size = batch_size
        self._waiting: deque[_Waiting] = deque()

    def add(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> None:
        """Take frames with their boxes and scores, (n, 5)."""
        self._waiting += [_Waiting(f, boxes, [], []) for f, boxes in frames]

    def take(self, is_last: bool = False) -> Iterator[PoseResult]:
        """Predict all full batches, then yield finished frames.

        The remaining people are predicted at the end, or when their frames
        take more memory than may be read ahead.
        """
        num = sum(w.num_left for w in self._waiting)
        is_full = len(self._waiting) > self.batch_size or (
            sum(_num_bytes(w.frame) for w in self._waiting) > LOOK_AHEAD
        )
        if not (is_last or is_full):
            num -= num % self.batch_size
        self._predict(num)
        while self._waiting and not self._waiting[0].num_left:
            yield self._finish(self._waiting.popleft())

    def _predict(self, num: int) -> None:
        """Predict the first waiting people."""
        images, boxes, owners = [], [], []
        for waiting in self._waiting:
            first = len(waiting.keypoints)
            some = waiting.boxes[first : first + num]
            if len(some):
                images.append(waiting.frame.image)
                boxes.append(some)
                owners += [waiting] * len(some)
                num -= len(some)
        if not owners:
            return
        found = self.predictor(
            dict(
                images=images,
                boxes=[b[:, :4] for b in boxes],
                box_scores=[b[:, 4] for b in boxes],
            )
        )
        poses = zip(owners, found['keypoints'], found['scores'], strict=True)
        for owner, keypoints, scores in poses:
            owner.keypoints.append(keypoints)
            owner.scores.append(scores)

    def _finish(self, done: _Waiting) -> PoseResult:
        result = PoseResult.empty(self.predictor.skeleton, done.frame)
        if not len(done.boxes):
            return result
        return replace(
            result,
            keypoints=np.stack(done.keypoints),
            scores=np.stack(done.scores),
            boxes=done.boxes[:, :4],
            box_scores=done.boxes[:, 4],
        )


# --------------------------------------------------------- images and boxes


def check_frames(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield frames with images of BGR, uint8, or with an error."""
    for frame in frames:
        if frame.image is None:
            # Without a reason it would count as an image without people.
            reason = frame.error or NO_IMAGE
            yield replace(frame, error=reason)
            continue
        try:
            # A copy: the owner may fill the buffer again before it is read.
            image = np.array(as_image(frame.image, frame.source))
        except (TypeError, ValueError) as error:
            yield replace(frame, image=None, error=str(error))
            continue
        if reason := find_excess(image):
            yield replace(frame, image=None, error=reason)
            continue
        if image.dtype != np.uint8:
            image = image.round().astype(np.uint8)
        yield replace(frame, image=image)


def read_ahead(
    work: Iterable[tuple[Frame, Any]], most: int
) -> Iterator[list[tuple[Frame, Any]]]:
    """Yield lists of frames that fit into the memory to read ahead.

    An error while reading is raised after the earlier frames.
    """
    chunk: list[tuple[Frame, Any]] = []
    size = 0
    try:
        for item in work:
            chunk.append(item)
            size += _num_bytes(item[0])
            if len(chunk) >= most or size >= LOOK_AHEAD:
                yield chunk
                chunk, size = [], 0
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def ends_video(frame: Frame) -> bool:
    """Return whether a frame only reports that its video was torn."""
    is_error = frame.image is None and frame.error not in ('', NO_IMAGE)
    return is_error and frame.index is not None


def _num_bytes(frame: Frame) -> int:
    return 0 if frame.image is None else frame.image.nbytes


def pair(
    frames: Iterator[Frame], boxes: Iterable
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yield each frame with its boxes and scores, (n, 5).

    An iterator is not asked for more entries than there are frames: it may be
    endless, or raise at the next entry.

    Raises:
        ValueError: If there are not as many boxes as frames, or a box is
            wrong or lies outside of its image.
    """
    first = list(islice(frames, 2))
    frames = chain(first, frames)
    if len(first) == 1 and isinstance(boxes, Sized) and len(boxes) != 1:
        boxes = [boxes]
    given = iter(boxes)
    index = -1
    rows: Any = None
    for frame in frames:
        if ends_video(frame):
            yield frame, np.zeros((0, 5), np.float32)
            continue
        index += 1
        try:
            rows = next(given)
        except StopIteration:
            raise ValueError(
                f'boxes has {index} entries, but there are more images; it '
                'takes the boxes of each image, or frame of a video'
            ) from None
        yield frame, _check_boxes(rows, index, frame)
    # A single image and an iterator over its boxes: the rest would be lost.
    is_whole = isinstance(boxes, Sized) or (index == 0 and np.ndim(rows) == 1)
    if is_whole and next(given, None) is not None:
        raise ValueError(
            f'boxes has more entries than there are images, {index + 1}'
        )


def _check_boxes(rows: Any, index: int, frame: Frame) -> np.ndarray:
    """Return the boxes of an image with their scores, (n, 5)."""
    if isinstance(rows, Sized) and not len(rows):
        return np.zeros((0, 5), np.float32)
    try:
        [found] = as_boxes([rows], [frame])
    except ValueError as error:
        words = str(error).replace('bboxes[0]', f'boxes[{index}]')
        raise ValueError(f'{words} (image: {frame.source})') from error
    if frame.image is not None:
        h, w = frame.image.shape[:2]
        outside = (found[:, :2] >= (w, h)) | (found[:, 2:4] <= 0)
        if outside.any():
            box = found[outside.any(1)][0, :4]
            raise ValueError(
                f'box {box} in boxes[{index}] lies outside of its image '
                f'{frame.source}, (h, w) {(h, w)}'
            )
    return found

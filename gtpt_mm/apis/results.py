"""Input and output of an inferencer: frames in, people out."""

# N people, K keypoints

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv

#: Decimals of the numbers of :meth:`PoseResult.to_dict`.
DECIMALS = 4
#: Keypoints above this score count for the score of a person in COCO's
#: results, as in mmpose's CocoMetric.
COCO_SCORE_THRESHOLD = 0.2


@dataclass
class Frame:
    """One input image.

    Attributes:
        image: Pixels, BGR, uint8, (H, W, 3), turned upright by EXIF; None if
            it cannot be read.
        source: Its path or URL, or ``'input 3'`` for an array.
        index: Number of the frame in its video, from 0; None for an image.
        time: Seconds from the beginning of its video.
        error: Why it cannot be read; '' if it can.
    """

    image: np.ndarray | None
    source: str
    index: int | None = None
    time: float | None = None
    error: str = ''


@dataclass(frozen=True)
class Skeleton:
    """Keypoints of a dataset: their names and colors.

    Attributes:
        names: Names of the K keypoints.
        links: Pairs of keypoint indices that are joined by a line.
        keypoint_colors: RGB of each keypoint.
        link_colors: RGB of each link.
        flip_pairs: Pairs of left and right indices.
        sigmas: Falloff of OKS for each keypoint; () if unknown.
        dataset: Name of the dataset, such as ``coco``.
    """

    names: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()
    keypoint_colors: tuple[tuple[int, int, int], ...] = ()
    link_colors: tuple[tuple[int, int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    dataset: str = ''

    @classmethod
    def from_metainfo(cls, metainfo: dict) -> 'Skeleton':
        """Return the skeleton of a parsed metainfo of mmpose."""
        names = tuple(
            metainfo['keypoint_id2name'][i]
            for i in range(metainfo['num_keypoints'])
        )
        flip = metainfo.get('flip_indices') or range(len(names))
        return cls(
            names=names,
            links=_as_tuples(metainfo.get('skeleton_links')),
            keypoint_colors=_as_tuples(metainfo.get('keypoint_colors')),
            link_colors=_as_tuples(metainfo.get('skeleton_link_colors')),
            flip_pairs=tuple((a, b) for a, b in enumerate(flip) if a < b),
            sigmas=tuple(float(s) for s in metainfo.get('sigmas', ())),
            dataset=str(metainfo.get('dataset_name', '')),
        )


def _as_tuples(values: Sequence | np.ndarray | None) -> tuple:
    if values is None:
        return ()
    return tuple(tuple(int(v) for v in value) for value in values)


@dataclass
class PoseResult:
    """The people in one image; N may be 0.

    Attributes:
        keypoints: Pixels (x, y) of the image, (N, K, 2).
        scores: Confidence of each keypoint, (N, K); a perfect prediction has
            about 1.
        boxes: (x1, y1, x2, y2) in pixels, (N, 4).
        box_scores: Confidence of each box, (N,).
        ids: Identity of each person over the frames of a video, (N,); None
            without tracking.
        skeleton: Names and links of the keypoints.
        frame: The image with these people.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    skeleton: Skeleton
    frame: Frame = field(repr=False)
    ids: np.ndarray | None = None

    @classmethod
    def empty(cls, skeleton: Skeleton, frame: Frame) -> 'PoseResult':
        """Return a result without people."""
        num = len(skeleton.names)
        return cls(
            keypoints=np.zeros((0, num, 2), np.float32),
            scores=np.zeros((0, num), np.float32),
            boxes=np.zeros((0, 4), np.float32),
            box_scores=np.zeros(0, np.float32),
            skeleton=skeleton,
            frame=frame,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the keypoints."""
        return self.skeleton.names

    @property
    def error(self) -> str:
        """Why the image could not be read; '' if it could."""
        return self.frame.error

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self.keypoints)

    def to_dict(self) -> dict:
        """Return plain Python types, ready for ``json.dumps``.

        Scores are clipped to [0, 1]. All numbers are rounded to 4 decimals;
        a coordinate that is not finite is None, such a score 0.

        Example:
            >>> frame = Frame(np.zeros((4, 6, 3), np.uint8), 'a.jpg')
            >>> PoseResult.empty(Skeleton(('nose',)), frame).to_dict()
            ... # doctest: +NORMALIZE_WHITESPACE
            {'source': 'a.jpg', 'width': 6, 'height': 4, 'error': '',
             'names': ['nose'], 'people': []}
        """
        image = self.frame.image
        found: dict[str, Any] = dict(source=str(self.frame.source))
        if self.frame.index is not None:
            found['index'] = int(self.frame.index)
        if self.frame.time is not None:
            found['time'] = float(self.frame.time)
        return found | dict(
            width=None if image is None else image.shape[1],
            height=None if image is None else image.shape[0],
            error=self.error,
            names=list(self.names),
            people=[self._person(number) for number in range(len(self))],
        )

    def _person(self, number: int) -> dict:
        """Return one person of :meth:`to_dict`."""
        person = dict(
            box=_rounded(self.boxes[number]),
            box_score=_clipped(self.box_scores[number]),
            keypoints=_rounded(self.keypoints[number]),
            scores=_clipped(self.scores[number]),
        )
        if self.ids is not None:
            person['id'] = int(self.ids[number])
        return person

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict]:
        """Return COCO's keypoint results, a dict for each person.

        The score of a person is that of the box times the mean of the keypoint
        scores above 0.2, the default of mmpose's CocoMetric.

        Args:
            image_id: ``id`` of the image in COCO's annotations.
            category_id: ``id`` of the category; 1 is the person.

        Example:
            >>> frame = Frame(None, 'a.jpg')
            >>> one = PoseResult(
            ...     keypoints=np.array([[[3.0, 4.0]]]),
            ...     scores=np.array([[0.5]]),
            ...     boxes=np.array([[0.0, 0.0, 9.0, 9.0]]),
            ...     box_scores=np.array([0.8]),
            ...     skeleton=Skeleton(('nose',)),
            ...     frame=frame,
            ... )
            >>> one.to_coco(image_id=785)  # doctest: +NORMALIZE_WHITESPACE
            [{'image_id': 785, 'category_id': 1,
              'keypoints': [3.0, 4.0, 0.5], 'score': 0.4}]
        """
        found = []
        for points, scores, box_score in zip(
            self.keypoints, self.scores, self.box_scores, strict=True
        ):
            triples = np.column_stack([points, scores]).astype(np.float64)
            triples[~np.isfinite(triples).all(1)] = 0
            sure = triples[:, 2][triples[:, 2] > COCO_SCORE_THRESHOLD]
            mean = sure.mean() if len(sure) else 0.0
            found.append(
                dict(
                    image_id=int(image_id),  # json refuses numpy's
                    category_id=int(category_id),
                    keypoints=triples.ravel().tolist(),
                    score=float(np.nan_to_num(box_score) * mean),
                )
            )
        return found

    def to_pandas(self) -> 'pd.DataFrame':
        """Return a long table, one row for each keypoint of each person.

        Raises:
            ImportError: If pandas is not installed.

        Example:
            >>> frame = Frame(None, 'a.jpg')
            >>> result = PoseResult.empty(Skeleton(('nose',)), frame)
            >>> list(result.to_pandas())  # doctest: +NORMALIZE_WHITESPACE
            ['source', 'index', 'time', 'person', 'id', 'keypoint', 'x', 'y',
             'score', 'box_x1', 'box_y1', 'box_x2', 'box_y2', 'box_score']
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise _missing('pandas') from error
        num, each = self.scores.shape
        ids = [None] * num if self.ids is None else self.ids.tolist()
        # One column for each name, with a value for each person.
        people = dict(
            source=pd.array([self.frame.source] * num, dtype='str'),
            index=pd.array([self.frame.index] * num, dtype='Int64'),
            time=np.full(num, self.frame.time, np.float64),
            person=np.arange(num),
            id=pd.array(ids, dtype='Int64'),
        )
        boxes = {
            f'box_{name}': self.boxes[:, column]
            for column, name in enumerate(('x1', 'y1', 'x2', 'y2'))
        }
        boxes['box_score'] = self.box_scores
        points = dict(
            keypoint=pd.array(list(self.names) * num, dtype='str'),
            x=self.keypoints[..., 0].ravel(),
            y=self.keypoints[..., 1].ravel(),
            score=self.scores.ravel(),
        )
        rows = np.repeat(np.arange(num), each)
        tables = [
            pd.DataFrame(people).take(rows).reset_index(drop=True),
            pd.DataFrame(points),
            pd.DataFrame(boxes).take(rows).reset_index(drop=True),
        ]
        return pd.concat(tables, axis=1)

    def to_supervision(self) -> 'sv.KeyPoints':
        """Return ``supervision.KeyPoints``.

        Its ``data`` has ``class_name``, ``xyxy`` (the boxes) and, after
        tracking, ``tracker_id``; filtering people also filters these.

        Raises:
            ImportError: If supervision is not installed.

        Example:
            >>> frame = Frame(None, 'a.jpg')
            >>> result = PoseResult.empty(Skeleton(('nose',)), frame)
            >>> result.to_supervision().xy
            array([], shape=(0, 1, 2), dtype=float32)
        """
        try:
            import supervision as sv
        except ImportError as error:
            raise _missing('supervision') from error
        num = len(self)
        name = self.skeleton.dataset or 'person'
        if 'left_shoulder' in self.names:
            name = 'person'
        data: dict[str, Any] = dict(
            class_name=np.array([name] * num, dtype=str),
            xyxy=self.boxes.astype(np.float32),
        )
        if self.ids is not None:
            data['tracker_id'] = self.ids.astype(int)
        return sv.KeyPoints(
            xy=self.keypoints.astype(np.float32),
            class_id=np.zeros(num, int),
            keypoint_confidence=self.scores.astype(np.float32),
            detection_confidence=self.box_scores.astype(np.float32),
            data=data,
        )

    def draw(
        self,
        image: np.ndarray | None = None,
        threshold: float = 0.3,
        *,
        boxes: bool = True,
        ids: bool = True,
        line_width: int | None = None,
    ) -> np.ndarray:
        """Return a picture of the people, BGR; the image stays as it is.

        Args:
            image: Image to draw on, BGR; that of the frame if None.
            threshold: Keypoints of a lower score are left out, and the links
                to them.
            boxes: Whether the boxes are drawn.
            ids: Whether the ids are written, if there are any.
            line_width: Width in pixels; None chooses it by the size of the
                image.

        Raises:
            ValueError: If there is no image.

        Example:
            >>> frame = Frame(np.zeros((40, 60, 3), np.uint8), 'a.jpg')
            >>> PoseResult.empty(Skeleton(('nose',)), frame).draw().shape
            (40, 60, 3)
        """
        from .drawing import draw_people

        image = self.frame.image if image is None else image
        if image is None:
            reason = self.error or 'the frame has lost its image'
            raise ValueError(
                f'{self.frame.source} cannot be drawn: {reason}; give image='
            )
        return draw_people(
            self, image, threshold, boxes=boxes, ids=ids, line_width=line_width
        )


def _rounded(values: np.ndarray) -> list:
    """Return nested lists of numbers; None for values that are not finite."""
    values = np.round(np.asarray(values, np.float64), DECIMALS)
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _clipped(scores: np.ndarray) -> Any:
    """Return scores in [0, 1] as a list, or one as a number."""
    scores = np.nan_to_num(np.asarray(scores, np.float64), posinf=1.0)
    return np.round(np.clip(scores, 0, 1), DECIMALS).tolist()


def _missing(extra: str) -> ImportError:
    return ImportError(
        f'{extra} is not installed: pip install "gtpt_mm[{extra}]"'
    )

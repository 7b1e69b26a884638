"""Smooth keypoints over time: One-Euro online, Savitzky-Golay offline."""

# T frames, K keypoints, N people in a frame

from collections.abc import Iterable, Iterator
from dataclasses import replace
from numbers import Integral
from pathlib import Path

import numpy as np
from scipy.signal import savgol_filter

from .results import Frame, PoseResult
from .tracking import begins_sequence
from .video import VideoError, VideoReader, is_live, read_video

METHODS = ('one-euro', 'savgol')
#: Placeholder for an image that is read again.
_DROPPED = np.zeros((0, 0, 3), np.uint8)


class OneEuro:
    """One-Euro filter of the keypoints of one person, frame by frame.

    A low-pass filter whose cutoff rises with the speed: it is steady at rest
    and quick in motion.

    Source: Casiez, Roussel, Vogel, "1 Euro Filter", CHI 2012, Algorithm 1 and
    2. The paper filters each coordinate separately; here x and y of a keypoint
    share the cutoff of its speed, so rotating the image changes nothing.

    Args:
        min_cutoff: Cutoff at rest in Hz; lower is steadier.
        beta: Rise of the cutoff in Hz per unit of speed; higher lags less.
        d_cutoff: Cutoff in Hz of the filter of the speed.
        max_gap: Number of frames that a keypoint may be missing; after more,
            the filter restarts at the new value.
    """

    def __init__(
        self,
        min_cutoff: float = 1.0,
        beta: float = 5.0,
        d_cutoff: float = 1.0,
        max_gap: int = 5,
    ) -> None:
        in_range = min_cutoff > 0 and d_cutoff > 0  # NaN is not
        if not (in_range and beta >= 0 and max_gap >= 0):
            raise ValueError(
                f'OneEuro: min_cutoff {min_cutoff} and d_cutoff {d_cutoff} '
                f'must be > 0, beta {beta} and max_gap {max_gap} >= 0'
            )
        self.min_cutoff, self.beta = min_cutoff, beta
        self.d_cutoff, self.max_gap = d_cutoff, max_gap
        self._values: np.ndarray | None = None  # (K, 2), NaN: not begun

    def __call__(
        self,
        keypoints: np.ndarray,
        time: float,
        index: int,
        scale: float = 1.0,
    ) -> np.ndarray:
        """Filter the keypoints of one frame.

        Args:
            keypoints: (K, 2); NaN where one is missing.
            time: Seconds.
            index: Number of the frame.
            scale: Unit of speed: a person's size in pixels makes ``beta``
                independent of the resolution.

        Returns:
            Filtered keypoints, (K, 2), NaN where one is missing.
        """
        there = np.isfinite(keypoints).all(-1)  # (K,)
        if self._values is None:
            self._values = np.full(keypoints.shape, np.nan)
            self._speeds = np.zeros(keypoints.shape)
            self._times = np.full(len(keypoints), time)
            self._indices = np.full(len(keypoints), index)
        known = np.isfinite(self._values).all(-1)
        known &= index - self._indices - 1 <= self.max_gap
        going = there & known
        new = there & ~known
        self._values[new], self._speeds[new] = keypoints[new], 0
        if going.any():
            self._step(going, keypoints[going], time, scale)
        self._times[there], self._indices[there] = time, index
        return np.where(there[:, None], self._values, np.nan)

    def is_over(self, index: int) -> bool:
        """Return whether it restarts at its next keypoints anyway."""
        return index - int(self._indices.max()) > self.max_gap + 1

    def _step(
        self,
        going: np.ndarray,
        keypoints: np.ndarray,
        time: float,
        scale: float,
    ) -> None:
        assert self._values is not None
        # Frames of the same time: the filter holds still.
        steps = np.maximum(time - self._times[going], 1e-9)[:, None]
        before = self._values[going]
        speeds = self._speeds[going]
        share = _share(self.d_cutoff, steps)
        speeds = speeds + share * ((keypoints - before) / steps - speeds)
        rate = np.linalg.norm(speeds, axis=-1, keepdims=True) / scale
        share = _share(self.min_cutoff + self.beta * rate, steps)
        self._speeds[going] = speeds
        self._values[going] = before + share * (keypoints - before)


def _share(cutoff: float | np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the weight of the new value in a low-pass filter."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))


def one_euro(
    keypoints: np.ndarray, times: np.ndarray, **options: float
) -> np.ndarray:
    """Filter the track of one person by ``OneEuro``.

    Args:
        keypoints: Keypoints of consecutive frames, (T, K, 2); NaN where one is
            missing.
        times: Seconds, (T,).
        **options: Arguments of ``OneEuro``; ``beta`` is per unit of
            ``keypoints`` and second here.

    Returns:
        Filtered keypoints, (T, K, 2), NaN where the input has it.
    """
    step = OneEuro(**options)  # type: ignore[arg-type]
    return np.array(
        [
            step(frame, time, index)
            for index, (frame, time) in enumerate(
                zip(np.asarray(keypoints, float), times, strict=True)
            )
        ]
    ).reshape(np.shape(keypoints))


def savgol(
    keypoints: np.ndarray,
    window: int = 9,
    order: int = 2,
    max_gap: int = 5,
) -> np.ndarray:
    """Filter the track of one person by Savitzky-Golay (``scipy.signal``).

    A polynomial is fitted around each frame: it does not lag, and a motion
    that is such a polynomial stays as it is. Frames count as evenly spaced.

    Args:
        keypoints: Keypoints of consecutive frames, (T, K, 2); NaN where one is
            missing.
        window: Number of frames of a fit, odd. A shorter stretch uses the
            largest odd number of frames that it has.
        order: Degree of the polynomial.
        max_gap: Largest number of frames in a gap that is bridged by a
            straight line; at a longer gap the filter restarts.

    Returns:
        Filtered keypoints, (T, K, 2); bridged gaps have values, longer ones
        and the ends stay NaN.
    """
    _check_savgol(window, order, max_gap)
    result = np.array(keypoints, float)
    for number in range(result.shape[1]):
        column = result[:, number]  # (T, 2), a view
        there = np.flatnonzero(np.isfinite(column).all(-1))
        column[np.isnan(column).any(-1)] = np.nan
        breaks = np.flatnonzero(np.diff(there) - 1 > max_gap) + 1
        for part in np.split(there, breaks):
            if len(part) == 0:
                continue
            grid = np.arange(part[0], part[-1] + 1)
            stretch = np.stack(
                [np.interp(grid, part, column[part, axis]) for axis in (0, 1)],
                axis=1,
            )
            size = min(window, len(grid) - (len(grid) + 1) % 2)
            if size > order:
                stretch = savgol_filter(stretch, size, order, axis=0)
            column[grid] = stretch
    return result


def _check_savgol(window: int, order: int, max_gap: int) -> None:
    for name, value in dict(
        window=window, order=order, max_gap=max_gap
    ).items():
        if not isinstance(value, Integral):
            raise ValueError(f'savgol: {name} {value!r} must be an integer')
    if window % 2 == 0 or not 0 <= order < window or max_gap < 0:
        raise ValueError(
            f'savgol: window {window} must be odd and above order {order} '
            f'>= 0, max_gap {max_gap} >= 0'
        )


def smooth(
    results: Iterable[PoseResult],
    method: str = 'one-euro',
    score_threshold: float = 0.3,
    fps: float = 25.0,
    **options: float,
) -> Iterator[PoseResult]:
    """Smooth the keypoints of each person over the frames of a video.

    People are distinguished by their ids (set by ``track``). A keypoint with a
    score below the threshold counts as missing: One-Euro leaves it as it is;
    Savitzky-Golay gives it the bridged value inside a short gap, and otherwise
    leaves it as well. Scores, boxes, the number of people, and people with id
    -1 (not confirmed) stay unchanged.

    One-Euro yields each result at once. Savitzky-Golay keeps all results of a
    video in memory: 1 kB per frame and 0.5 kB per person in it, for 17
    keypoints. The images of a video file are not kept, but read again; those
    of a folder, of arrays or of a URL are kept. An endless stream is refused.

    Args:
        results: Results in the order of the frames.
        method: ``'one-euro'`` (online) or ``'savgol'`` (offline).
        score_threshold: Lowest score of a keypoint that is not missing.
        fps: Frames per second, for frames without a time.
        **options: Arguments of ``OneEuro`` (speed in sizes of the person per
            second, the size being the root of the box's area) or of
            ``savgol``.

    Returns:
        An iterator over copies of the results.

    Raises:
        ValueError: If the method or an option is unknown; while iterating, if
            several people are in a frame without ids.
    """
    if method not in METHODS:
        raise ValueError(
            f'no smoothing method {method!r}; take one of {", ".join(METHODS)}'
        )
    if not fps > 0:
        raise ValueError(f'smooth: fps {fps} must be > 0')
    try:
        if method == 'one-euro':
            OneEuro(**options)  # type: ignore[arg-type]
            return _smooth_online(results, score_threshold, fps, options)
        savgol(np.zeros((0, 0, 2)), **options)  # type: ignore[arg-type]
        return _smooth_offline(results, score_threshold, options)
    except TypeError as error:
        raise ValueError(f'smooth(method={method!r}): {error}') from error


def _ids(result: PoseResult) -> np.ndarray:
    """Return the ids, (N,)."""
    if result.ids is not None:
        return result.ids
    if len(result) > 1:
        raise ValueError(
            f'{result.frame.source}, frame {result.frame.index}: '
            f'{len(result)} people without ids cannot be smoothed; '
            'call track(results) first'
        )
    return np.zeros(len(result), np.int64)


def _with_gaps(result: PoseResult, threshold: float) -> np.ndarray:
    """Return keypoints (N, K, 2), NaN where the score is too low."""
    there = np.asarray(result.scores) >= threshold
    return np.where(there[..., None], result.keypoints, np.nan)


def _filled(result: PoseResult, smoothed: np.ndarray) -> PoseResult:
    """Return a copy with smoothed keypoints; NaN leaves one as it is."""
    keypoints = np.where(np.isnan(smoothed), result.keypoints, smoothed)
    return replace(result, keypoints=keypoints.astype(result.keypoints.dtype))


def _smooth_online(
    results: Iterable[PoseResult], threshold: float, fps: float, options: dict
) -> Iterator[PoseResult]:
    filters: dict[int, OneEuro] = {}
    before, count = None, 0
    for result in results:
        frame = result.frame
        if begins_sequence(before, frame):
            filters, count = {}, 0
        before, count = frame, count + 1
        index = count if frame.index is None else frame.index
        time = index / fps if frame.time is None else frame.time
        keypoints = _with_gaps(result, threshold)
        for person, key in enumerate(_ids(result)):
            if key < 0:
                continue
            x1, y1, x2, y2 = result.boxes[person]
            size = float(np.sqrt(max((x2 - x1) * (y2 - y1), 1.0)))
            step = filters.setdefault(int(key), OneEuro(**options))
            keypoints[person] = step(keypoints[person], time, index, size)
        # In an endless stream new people keep appearing.
        filters = {k: f for k, f in filters.items() if not f.is_over(index)}
        yield _filled(result, keypoints)


def _smooth_offline(
    results: Iterable[PoseResult], threshold: float, options: dict
) -> Iterator[PoseResult]:
    held: list[PoseResult] = []
    before, shape = None, None
    for result in results:
        if begins_sequence(before, result.frame):
            yield from _finish(held, threshold, options)
            held = []
            if is_live(result.frame.source):
                raise ValueError(
                    f"{result.frame.source}: 'savgol' holds a video to its "
                    "end; take 'one-euro' for a webcam or stream"
                )
            shape = _find_shape(result.frame)
        _ids(result)  # refuse now, not at the end
        before = result.frame
        held.append(_without_image(result, shape))
    yield from _finish(held, threshold, options)


def _find_shape(frame: Frame) -> tuple[int, ...] | None:
    """Return the image shape of a video file; None for other inputs."""
    if frame.index is None or not Path(frame.source).is_file():
        return None
    try:
        with read_video(frame.source) as video:
            return (*video.info.size[::-1], 3)
    except VideoError:
        return None


def _without_image(
    result: PoseResult, shape: tuple[int, ...] | None
) -> PoseResult:
    """Return a result without its image if that can be read again.

    Images of another shape were scaled or cropped after reading, so the file
    does not contain them.
    """
    frame = result.frame
    if frame.image is None or frame.image.shape != shape:
        return result
    return replace(result, frame=replace(frame, image=_DROPPED))


def _finish(
    held: list[PoseResult], threshold: float, options: dict
) -> Iterator[PoseResult]:
    """Smooth the whole tracks of a video; yield its results with images."""
    keypoints = [_with_gaps(result, threshold) for result in held]
    places: dict[int, list[tuple[int, int, int]]] = {}
    for number, result in enumerate(held):
        index = result.frame.index
        for person, key in enumerate(_ids(result)):
            place = (number if index is None else index, number, person)
            places.setdefault(int(key), []).append(place)
    for key, track in places.items():
        if key < 0:
            continue
        first, last = track[0][0], track[-1][0]
        shape = (last - first + 1, *keypoints[track[0][1]].shape[1:])
        path = np.full(shape, np.nan)  # (T, K, 2)
        for index, number, person in track:
            path[index - first] = keypoints[number][person]
        path = savgol(path, **options)
        for index, number, person in track:
            keypoints[number][person] = path[index - first]
    frames = _Frames()
    try:
        for result, smoothed in zip(held, keypoints, strict=True):
            yield _filled(frames.restore(result), smoothed)
    finally:
        frames.close()


class _Frames:
    """Images of a video file, read a second time."""

    def __init__(self) -> None:
        self._reader: VideoReader | None = None

    def restore(self, result: PoseResult) -> PoseResult:
        """Return the result with the image of its frame."""
        frame = result.frame
        if frame.image is not _DROPPED:
            return result
        if self._reader is None:
            self._reader = read_video(frame.source)
        for again in self._reader:
            if again.index == frame.index:
                break
        else:
            raise VideoError(
                f'{frame.source}: frame {frame.index} cannot be read again'
            )
        return replace(result, frame=replace(frame, image=again.image))

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()

"""Left and right exchanged: the labels fit the set better the other way round.

An instance is moved, turned and scaled (never mirrored) onto the others of the
set; its distance is that to the nearest three of them. So instances need not
be upright, and front, back and profile views are compared with similar views.
Then the labels of some pairs are exchanged. If the set has nothing similar to
the labels as they are, but something similar to the exchanged ones, left and
right may be exchanged.

Mice on glass are always seen from below: one side of the body is the left one
in all pictures, and an exchange of all labels is found. People are seen from
the front and from behind, where left and right change sides. In such a set the
mirror image of every instance also counts as seen, so only an exchange of some
labels, such as those of the legs, can be found. An exchange of all labels
looks like a view from behind, unless a face shows the opposite (``facing``).
"""

# N instances, R references, K keypoints

from dataclasses import dataclass

import numpy as np

from .facing import find_mirrored
from .findings import Finding
from .stack import Stack
from .swaps import find_context, list_swaps

#: Number of instances to compare with, drawn evenly.
MAX_REFERENCES = 1000
#: Instances that may be nearer to the set with all sides exchanged, in a set
#: that is always seen from one side: a part of them, and at least this number.
FEW, AT_LEAST = 0.02, 2
#: Fewer instances do not show what is usual.
MIN_INSTANCES = 30
#: Labels that an instance needs, and that a reference must share with it.
MIN_LABELS = 4
NUM_NEAREST = 3
#: Links around the exchanged keypoints that are compared; limbs farther away
#: would hide the difference.
STEPS = 2
#: Exchanged labels must be twice as near to the set. Below that are people
#: with crossed legs and gymnasts, who are labelled correctly.
GAIN = float(np.log(2))
#: 1.5 times is enough in a set of 200 where an exchange is hardly ever nearer.
#: The required logarithm grows with that of the last twentieth of the set and
#: with the number of instances. This rule needs more labels.
CLEAR_GAIN, NUM_CLEAR, GROWTH = 0.4, 200, 0.1
USUAL, NUM_USUAL, CLEAR_LABELS = 0.95, 300, 6
#: The labels as they are must be farther away than this part of the set, and
#: the exchanged ones not much farther.
STRANGE, NOT_MUCH = 0.9, 1.3
CHUNK = 128


@dataclass
class _Shapes:
    """Instances as complex numbers of one size around 0, (N, K)."""

    points: np.ndarray
    known: np.ndarray

    def select(self, columns: np.ndarray) -> '_Shapes':
        return _Shapes(self.points[:, columns], self.known[:, columns])


def check_sides(stack: Stack, trusted: np.ndarray) -> list[Finding]:
    """Find instances whose left and right may be exchanged.

    Args:
        stack: The instances.
        trusted: Keypoints that count, (N, K).
    """
    trusted = trusted & (trusted.sum(1, keepdims=True) >= MIN_LABELS)
    if not stack.pairs or trusted.any(1).sum() < MIN_INSTANCES:
        return []
    shapes = _normalize(stack.points, trusted)
    search = _Search(stack, shapes)
    best: dict[int, tuple[float, list[int]]] = {}
    for swap in list_swaps(stack.links, stack.pairs):
        if search.is_two_sided and 2 * len(swap) > len(stack.pairs):
            continue  # equal to exchanging all others
        keypoints = [k for i in swap for k in stack.pairs[i]]
        for row, gain in search.gains(keypoints).items():
            if gain > best.get(row, (0.0,))[0]:
                best[row] = gain, keypoints
    mirrored = find_mirrored(stack, trusted)
    found = [
        _mirrored(stack, row, num, trusted[row])
        for row, num in mirrored.items()
    ]
    best = {row: value for row, value in best.items() if row not in mirrored}
    for row, (gain, keypoints) in best.items():
        shown = tuple(k for k in keypoints if trusted[row, k])
        left = [a for a, _ in stack.pairs if a in keypoints]
        text = (
            f'{np.exp(gain):.1f} times as near to the others if '
            f'{stack.name(tuple(left))} and the other side are exchanged'
        )
        found.append(stack.finding('sides', row, text, shown, gain))
    return found


def _mirrored(
    stack: Stack, row: int, num: float, trusted: np.ndarray
) -> Finding:
    sided = (k for pair in stack.pairs for k in pair)
    shown = tuple(k for k in sided if trusted[k])
    text = (
        f'all labels: {num:.0f} triangles of keypoints have the opposite '
        'orientation of those in the other instances'
    )
    return stack.finding('sides', row, text, shown, num)


def _normalize(points: np.ndarray, known: np.ndarray) -> _Shapes:
    """Return shapes with the mean at 0 and a root mean square of 1."""
    num = np.maximum(known.sum(1, keepdims=True), 1)
    x = np.where(known, points[..., 0] + 1j * points[..., 1], 0)
    x = np.where(known, x - x.sum(1, keepdims=True) / num, 0)
    size = np.sqrt((np.abs(x) ** 2).sum(1, keepdims=True) / num)
    x = x / np.maximum(size, 1e-9)
    return _Shapes(x.astype(np.complex64), known.astype(np.float32))


class _Search:
    """Distances of instances, as they are and exchanged, to the set."""

    def __init__(self, stack: Stack, shapes: _Shapes) -> None:
        self._stack, self._shapes = stack, shapes
        usable = np.flatnonzero(shapes.known.any(1))
        step = max(len(usable) / MAX_REFERENCES, 1.0)
        chosen = usable[np.arange(0, len(usable), step).astype(int)]
        self._usable, self._ids = usable, chosen
        self._references = _Shapes(shapes.points[chosen], shapes.known[chosen])
        self._as_is: dict[tuple[int, ...], np.ndarray] = {}
        # A mirror image with left and right exchanged is also an instance.
        sided = [k for pair in stack.pairs for k in pair]
        self._add_mirrored(self._exchange(sided))
        self.is_two_sided = not self._is_one_sided(sided)
        if self.is_two_sided:
            self._add_mirrored(np.arange(len(stack.names)))

    def _add_mirrored(self, order: np.ndarray) -> None:
        """Add the mirror images of all references."""
        points, known = self._references.points, self._references.known
        self._references = _Shapes(
            np.concatenate([points, -points.conj()[:, order]]),
            np.concatenate([known, known[:, order]]),
        )
        self._ids = np.concatenate([self._ids, self._ids])

    def _is_one_sided(self, sided: list[int]) -> bool:
        """Whether the instances are always seen from the same side."""
        columns = np.arange(len(self._stack.names))
        rows = self._usable[:: max(len(self._usable) // 500, 1)]
        as_is = self._distances(rows, columns, columns)
        after = self._distances(rows, self._exchange(sided), columns)
        known = np.isfinite(as_is) & np.isfinite(after)
        num = int((after < as_is)[known].sum())
        return num <= max(FEW * known.sum(), AT_LEAST)

    def _exchange(self, keypoints: list[int]) -> np.ndarray:
        """Return the order of keypoints after an exchange, (K,)."""
        order = np.arange(len(self._stack.names))
        for a, b in self._stack.pairs:
            if a in keypoints:
                order[a], order[b] = b, a
        return order

    def gains(self, keypoints: list[int]) -> dict[int, float]:
        """Return log(distance / distance if exchanged) of suspects."""
        stack = self._stack
        context = find_context(
            keypoints, stack.links, stack.pairs, len(stack.names), STEPS
        )
        around = [k for p in stack.pairs for k in p if k not in keypoints]
        if not context[around].any():
            context[:] = True  # nothing else shows which side is left
        columns = np.flatnonzero(context)
        key = tuple(columns.tolist())
        rows = self._usable
        if key not in self._as_is:
            straight = np.arange(len(stack.names))
            self._as_is[key] = self._distances(rows, straight, columns)
        as_is = self._as_is[key]
        known = np.isfinite(as_is)
        if known.sum() < MIN_INSTANCES:
            return {}
        strange = np.quantile(as_is[known], STRANGE)
        doubtful = known & (as_is > strange)
        doubtful &= self._shapes.known[rows][:, keypoints].sum(1) > 1
        if not doubtful.any():
            return {}
        order = self._exchange(keypoints)
        suspects = rows[doubtful]
        after = self._distances(suspects, order, columns)
        gain = np.log(as_is[doubtful] / np.maximum(after, 1e-6))
        hit = (gain > CLEAR_GAIN) & (after < NOT_MUCH * strange)
        if hit.any():
            labels = self._shapes.known[suspects][:, columns].sum(1)
            limit = self._limit(as_is, order, columns)
            hit &= gain > np.where(labels < CLEAR_LABELS, GAIN, limit)
        return dict(
            zip(suspects[hit].tolist(), gain[hit].tolist(), strict=True)
        )

    def _limit(
        self, as_is: np.ndarray, order: np.ndarray, columns: np.ndarray
    ) -> float:
        """Return the gain that an exchange needs, given the usual gains."""
        known = np.flatnonzero(np.isfinite(as_is))
        known = known[:: -(-len(known) // NUM_USUAL)]
        after = self._distances(self._usable[known], order, columns)
        gain = np.log(as_is[known] / np.maximum(after, 1e-6))
        usual = float(np.quantile(gain[np.isfinite(gain)], USUAL))
        growth = GROWTH * np.log(max(np.isfinite(as_is).sum() / NUM_CLEAR, 1))
        return min(GAIN, CLEAR_GAIN + 2 * max(usual, 0.0) + float(growth))

    def _distances(
        self, rows: np.ndarray, order: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        """Return mean distances to the nearest references, (N,)."""
        references = self._references.select(columns)
        found = [
            self._nearest(
                _Shapes(
                    self._shapes.points[chunk][:, order],
                    self._shapes.known[chunk][:, order],
                ).select(columns),
                references,
                chunk,
            )
            for chunk in np.split(rows, range(CHUNK, len(rows), CHUNK))
        ]
        return np.concatenate(found) if found else np.zeros(0)

    def _nearest(
        self, shapes: _Shapes, references: _Shapes, rows: np.ndarray
    ) -> np.ndarray:
        square, num = _align(shapes, references)
        enough = np.maximum(shapes.known.sum(1, keepdims=True), MIN_LABELS)
        square[(num < enough) | (rows[:, None] == self._ids)] = np.inf
        nearest = np.partition(square, NUM_NEAREST - 1, axis=1)
        return np.sqrt(nearest[:, :NUM_NEAREST]).mean(1)


def _align(
    shapes: _Shapes, references: _Shapes
) -> tuple[np.ndarray, np.ndarray]:
    """Move, turn and scale references onto shapes by least squares.

    Returns:
        Mean squared residuals, and numbers of common keypoints, (N, R).
    """
    x, x_known = shapes.points, shapes.known
    y, y_known = references.points.T, references.known.T
    num = x_known @ y_known
    safe = np.maximum(num, 1)
    x_sum, y_sum = x @ y_known, x_known @ y
    common = x @ y.conj() - x_sum * y_sum.conj() / safe
    x_var = _square(x) @ y_known - _square(x_sum) / safe
    y_var = x_known @ _square(y) - _square(y_sum) / safe
    rest = x_var - _square(common) / np.maximum(y_var, 1e-9)
    return np.maximum(rest, 0) / safe, num


def _square(values: np.ndarray) -> np.ndarray:
    return values.real**2 + values.imag**2

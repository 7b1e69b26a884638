"""What animals do: postures, and gaits as paths of the feet.

Angles are in degrees, lengths in heights of the withers. Time runs in
strides; a foot is on the ground for a share ``duty`` of a stride, in which
the trunk travels the length ``step``, so that no foot slides.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..poses import SIDES
from .species import Build, Species

LEGS = tuple((side, end) for side in SIDES for end in ('front', 'back'))


@dataclass(frozen=True)
class Gait:
    """A periodic motion of the legs.

    Args:
        phases: When each foot touches the ground, in ``LEGS``' order.
        duty: Share of a stride that a foot is on the ground.
        step: Way of a foot on the ground.
        lift: How high a foot is raised.
        bob: How far the trunk goes up and down.
        sway: How far its back arches and its ends rise in turn.
        pace: Strides per frame of a clip.
    """

    phases: tuple[float, float, float, float]
    duty: float
    step: float
    lift: float
    bob: float
    sway: float
    pace: float

    @property
    def speed(self) -> float:
        """Way of the trunk per stride."""
        return self.step / self.duty


# Left front, left back, right front, right back.
GAITS = {
    'walk': Gait((0.25, 0.0, 0.75, 0.5), 0.63, 0.50, 0.07, 0.01, 0.0, 0.06),
    'trot': Gait((0.5, 0.0, 0.0, 0.5), 0.45, 0.58, 0.13, 0.02, 0.0, 0.08),
    'gallop': Gait((0.45, 0.0, 0.60, 0.12), 0.29, 0.82, 0.20, 0.05, 1.0,
                   0.09),
}  # fmt: skip
POSTURES = ('stand', 'graze', 'sit', *GAITS)


@dataclass
class Pose:
    """What an animal does.

    Args:
        name: One of ``POSTURES``.
        phase: Where in its stride it is at time 0.
        reach: How the step relates to that of the gait.
        neck: Elevation of the neck.
        neck_turn: Of the neck to the own left.
        head: Elevation of the muzzle.
        head_turn: Of the head against the neck to the own left.
        feet: Offsets of standing feet forwards, in ``LEGS``' order.
        tail: Elevation of the tail's root, -90 hangs down.
        tail_turn: Of the tail to the own left.
        restless: Amplitude of slow motion of head and tail.
    """

    name: str
    phase: float
    reach: float
    neck: float
    neck_turn: float
    head: float
    head_turn: float
    feet: tuple[float, ...]
    tail: float
    tail_turn: float
    restless: float

    @property
    def pace(self) -> float:
        """Strides per frame of a clip."""
        return GAITS[self.name].pace if self.name in GAITS else 0.05

    def travel(self, time: float) -> float:
        """Return how far the animal has come since time 0."""
        if self.name not in GAITS:
            return 0.0
        return GAITS[self.name].speed * self.reach * time

    def foot(self, leg: int, time: float) -> tuple[float, float, float]:
        """Return a foot's place and its fold.

        Args:
            leg: Index in ``LEGS``.
            time: In strides.

        Returns:
            Offset forwards, height, and how far the leg is folded, 0 to 1.
        """
        if self.name not in GAITS:
            return self.feet[leg], 0.0, 0.0
        gait = GAITS[self.name]
        step = gait.step * self.reach
        phase = (self.phase + time - gait.phases[leg]) % 1.0
        if phase < gait.duty:
            return step * (0.5 - phase / gait.duty), 0.0, 0.0
        swing = (phase - gait.duty) / (1 - gait.duty)
        ease = 0.5 - 0.5 * math.cos(math.pi * swing)
        high = math.sin(math.pi * swing)
        return step * (ease - 0.5), gait.lift * high, high

    def trunk(self, time: float) -> tuple[float, float, float]:
        """Return rise, pitch (radians, front up) and arch of the trunk."""
        if self.name not in GAITS:
            return 0.0, 0.0, 0.0
        gait = GAITS[self.name]
        angle = 2 * math.pi * (self.phase + time)
        if not gait.sway:
            return gait.bob * math.cos(2 * angle), 0.0, 0.0
        # A gallop: gathered in the air after the fore legs have left.
        arch = 0.045 * math.sin(angle - 0.4)
        return gait.bob * math.cos(angle), 0.09 * math.sin(angle + 1.2), arch


def sample_pose(
    rng: np.random.Generator,
    species: Species,
    build: Build,
    name: str | None = None,
    simple: bool = False,
) -> Pose:
    """Draw what an animal does.

    Args:
        rng: Source of randomness.
        species: Decides which postures there are.
        build: Of the animal.
        name: One of ``POSTURES``; drawn when missing.
        simple: Whether it stands or walks and looks ahead.
    """
    if name is None:
        names = ['stand', 'stand', 'walk', 'walk']
        if not simple:
            names += ['trot', 'gallop', *species.postures]
        name = names[rng.integers(len(names))]
    n = np.clip(rng.normal(size=8), -2, 2)
    turn = rng.random()
    neck, head = build.neck_rest + 7 * n[0], build.head_rest + 6 * n[1]
    neck_turn, head_turn = 6 * n[2], 6 * n[3]
    if name == 'graze':
        neck, head = -62 + 6 * n[0], -62 + 9 * n[1]
    elif name == 'sit':
        neck, head = max(neck, 42) + 8, head + 6
    elif name in ('trot', 'gallop'):
        neck, head = 0.72 * neck - 2, head + 8
    if not simple and name != 'graze' and turn < 0.4:  # looks round
        side = 1 if n[4] > 0 else -1
        neck_turn, head_turn = side * 22, side * rng.uniform(12, 38)
    tail = {'trot': -25.0, 'gallop': -8.0}.get(name, -62.0)
    return Pose(
        name=name,
        phase=rng.random(),
        reach=rng.uniform(0.75, 1.15),
        neck=float(neck),
        neck_turn=float(neck_turn),
        head=float(head),
        head_turn=float(head_turn),
        feet=tuple(rng.uniform(-0.09, 0.09, size=4).tolist()),
        tail=float(tail + 14 * n[5]),
        tail_turn=float(14 * n[6]),
        restless=float(rng.uniform(2, 6)),
    )

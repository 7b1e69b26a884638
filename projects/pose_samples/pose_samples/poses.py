"""Joint angles of people who stand, sit or walk."""

import math
from dataclasses import dataclass, field

import numpy as np

from .arrays import Rng
from .body import SKELETON
from .skeleton import SIDES, read_rows

Angles = dict[str, tuple[float, float]]  # name: (mean, deviation) in degrees


def _table(text: str) -> dict[str, Angles]:
    """Read lines of ``name: angle mean deviation, angle ...``."""
    return {
        name: {angle: (float(mean), float(sd)) for angle, mean, sd in terms}
        for (name,), terms in read_rows(text)
    }


ARMS = _table("""
hang: raise 9 7, plane 70 40, elbow 18 12
akimbo: raise 42 8, plane 95 12, turn 62 10, elbow 98 10, pronate 30 25
forward: raise 75 25, plane 10 20, elbow 25 20, turn 10 20
sideways: raise 85 18, plane 88 12, elbow 20 18, pronate 60 25, turn -10 20
overhead: raise 158 12, plane 75 20, elbow 25 22, turn 15 20, pronate 10 40
wave: raise 80 20, plane 85 15, turn -80 10, elbow 85 25, pronate 35 20
phone: raise 45 10, plane 60 15, turn 5 10, elbow 138 6, pronate -10 15
hold: raise 22 10, plane 30 25, turn 30 15, elbow 85 18, pronate 20 40
crossed: raise 32 6, plane 20 12, turn 68 8, elbow 102 8, pronate 40 15
back: raise 22 6, plane 118 6, turn 40 12, elbow 45 20
swing_front: raise 38 10, plane 5 8, elbow 70 25
swing_back: raise 30 10, plane 122 4, elbow 45 25
any: raise 75 50, plane 55 45, turn 15 40, elbow 60 45, pronate 10 45
""")
LEGS = _table("""
straight: flex 2 4, spread 4 3, knee 5 4
apart: flex 3 5, spread 16 6, knee 7 6
relaxed: flex 14 6, spread 9 5, knee 24 8, hip_turn 18 8
step_front: flex 26 7, spread 2 3, knee 10 7
step_back: flex -14 6, spread 2 3, knee 26 12, ankle 22 8
run_front: flex 62 15, spread 3 3, knee 80 18
run_back: flex -15 6, spread 3 3, knee 62 25, ankle 35 10
kick: flex 75 18, spread 8 8, knee 15 10
side_kick: flex 15 10, spread 45 6, knee 12 10
sit: flex 86 8, spread 10 8, knee 86 14, hip_turn 8 8
squat: flex 108 10, spread 20 9, knee 122 12, hip_turn 15 8, ankle -18 4
lunge_front: flex 72 8, spread 3 3, knee 85 8
lunge_back: flex -12 5, spread 2 3, knee 50 20, ankle 0 10
kneel: flex 5 6, spread 6 3, knee 95 8
""")
# Angles that a pose does not name.
_REST = _table("""
trunk: bend 2 4, side 0 4, twist 0 8
head: head_yaw 0 22, head_pitch 4 10, head_roll 0 6
arm: turn 12 15, pronate 20 25, wrist 5 14
leg: hip_turn 5 6, ankle 2 5, toe_out 8 6
""")
_REST_ANGLES = {k: v for row in _REST.values() for k, v in row.items()}

STANDING_ARMS = (
    'hang hang hang akimbo forward sideways overhead wave phone hold '
    'crossed back any any'
)
# name: (weight, left leg, right leg, trunk, arms to choose from); the sides
# are swapped half of the time.
POSES = {
    'stand': (20, 'straight', 'straight', {}, STANDING_ARMS),
    'legs apart': (9, 'apart', 'apart', {}, STANDING_ARMS),
    'contrapposto': (9, 'straight', 'relaxed', {'side': (-4, 3)},
                     STANDING_ARMS),
    'walk': (14, 'step_front', 'step_back', {'bend': (3, 4)}, 'walk'),
    'run': (8, 'run_front', 'run_back', {'bend': (14, 7)}, 'walk'),
    'kick': (4, 'kick', 'straight', {'bend': (-4, 8)},
             'sideways any forward hang'),
    'side kick': (3, 'side_kick', 'straight', {'side': (-10, 6)},
                  'sideways any hold'),
    'jump': (4, 'run_front', 'apart', {}, 'overhead sideways any'),
    'sit': (12, 'sit', 'sit', {'bend': (4, 9)},
            'hold hold forward hang phone crossed any'),
    'squat': (5, 'squat', 'squat', {'bend': (28, 10)},
              'forward hold hang any'),
    'lunge': (5, 'lunge_front', 'lunge_back', {'bend': (6, 7)},
              'akimbo sideways overhead hang forward any'),
    'kneel': (3, 'lunge_front', 'kneel', {'bend': (8, 8)},
              'hold hang forward any'),
    'stoop': (4, 'straight', 'relaxed', {'bend': (55, 12)},
              'forward hang any'),
    'lie': (4, 'straight', 'relaxed', {}, 'hang sideways overhead any'),
}  # fmt: skip
POSE_NAMES = tuple(POSES)
#: Upright, both feet on the ground.
SIMPLE_POSES = ('stand', 'legs apart', 'contrapposto', 'walk')
_POSE_WEIGHTS = np.array([POSES[name][0] for name in POSE_NAMES], float)
_POSE_WEIGHTS /= _POSE_WEIGHTS.sum()

FISTS = {'open': 4.0, 'relaxed': 26.0, 'fist': 76.0, 'point': 70.0}


@dataclass
class Pose:
    """Joint angles of one person."""

    name: str  # the entry of POSES that it was drawn from
    angles: dict[str, float]  # of the skeleton, in radians
    # Of each side, curl of the fingers from the thumb on, angle between them.
    fingers: dict[str, list[float]] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)


_TRUNK, _LIMB = list(SKELETON.limits)[:6], list(SKELETON.limits)[6:]


def _sample(rng: Rng, names: list[str], wanted: Angles) -> dict[str, float]:
    noise = rng.normal(size=len(names)).tolist()
    angles = {}
    for name, deviation in zip(names, noise, strict=True):
        mean, scatter = wanted.get(name) or _REST_ANGLES[name]
        angles[name] = SKELETON.clip(name, mean + scatter * deviation)
    return angles


def sample_pose(rng: Rng, name: str | None = None) -> Pose:
    """Draw a pose, one of ``POSE_NAMES``, within the joints' limits.

    Example:
        >>> sample_pose(np.random.default_rng(0), 'sit').name
        'sit'
    """
    if name is None:
        name = POSE_NAMES[rng.choice(len(POSE_NAMES), p=_POSE_WEIGHTS)]
    _, left_leg, right_leg, trunk, choice = POSES[name]
    arms = ['swing_back', 'swing_front']  # opposite to the legs
    if choice != 'walk' or rng.random() < 0.25:
        names = (STANDING_ARMS if choice == 'walk' else choice).split()
        arms = [names[i] for i in rng.integers(len(names), size=2)]
        if rng.random() < 0.45 or arms[0] == 'crossed':
            arms[1] = arms[0]
    legs = [left_leg, right_leg]
    if rng.random() < 0.5:
        arms, legs = arms[::-1], legs[::-1]

    pose = Pose(name, _sample(rng, _TRUNK, trunk))
    for side, arm, leg in zip(SIDES, arms, legs, strict=True):
        limb = _sample(rng, _LIMB, {**ARMS[arm], **LEGS[leg]})
        pose.angles |= {f'{side}_{k}': v for k, v in limb.items()}
        grip = tuple(FISTS)[rng.choice(4, p=(0.3, 0.42, 0.2, 0.08))]
        curl = np.clip(FISTS[grip] + rng.normal(0, 7, size=5), 0, 85)
        curl[0] = min(curl[0], 45)
        if grip == 'point':
            curl[1] = 3.0
        pose.fingers[side] = np.radians(curl).tolist()
        pose.spread[side] = math.radians(
            rng.uniform(3, 13) if grip == 'open' else rng.uniform(0, 4)
        )
    return pose

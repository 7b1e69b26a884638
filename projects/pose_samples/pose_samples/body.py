"""Bodies of people: the skeleton, builds, hands. Lengths are in statures."""

import math
from dataclasses import asdict, dataclass

import numpy as np

from .arrays import Array, Rng
from .skeleton import Skeleton, rot_x, rot_y, rot_z

SKELETON = Skeleton(
    # From chest to head there are two equal turns, half of one to the nape; a
    # bent trunk lifts the head. An arm is raised by the shortest turn from
    # hanging, then turns about its axis.
    frames="""
pelvis root
spine pelvis: x bend 0.5, z side -0.5, y twist 0.5
chest spine: x bend 0.5, z side -0.5, y twist 0.5
neck chest: x nape 1
nape neck: y head_yaw 0.5, x head_pitch 0.5, x bend -0.275, z head_roll 0.5
nod chest: y head_yaw 0.5, x head_pitch 0.5, x bend -0.275, z head_roll 0.5
head nod: y head_yaw 0.5, x head_pitch 0.5, x bend -0.275, z head_roll 0.5
left_raised chest: y left_plane 1, x left_raise -1, y left_plane -1
left_upper_arm left_raised: y left_turn -1
left_forearm left_upper_arm: x left_elbow -1
left_hand left_forearm: y left_pronate -1, z left_wrist -1
left_thigh pelvis: z left_spread 1, x left_flex -1, y left_hip_turn 1
left_shin left_thigh: x left_knee 1
left_foot left_shin: y left_toe_out 1, x left_ankle 1
""",
    # The middle of the head lies half a head above the chin.
    joints="""
pelvis root root
waist pelvis pelvis: torso 0 0.35 0
ribs waist spine: torso 0 0.25 0
neck ribs chest: torso 0 0.45 0, unit 0 0 -0.008
upper_neck neck nape: unit 0 0.036 0
head upper_neck head: head 0 0.40 0.10
head_top head head: head 0 0.5 0
left_shoulder ribs chest: shoulder 1 0 0, torso 0 0.40 0, left_shrug 0 0.035 0
left_elbow left_shoulder left_upper_arm: upper_arm 0 -1 0
left_wrist left_elbow left_forearm: forearm 0 -1 0
left_hip pelvis pelvis: hip 1 0 0
left_knee left_hip left_thigh: thigh 0 -1 0
left_ankle left_knee left_shin: shin 0 -1 0
left_ear head head: head 0.35 -0.02 -0.03
left_big_toe left_ankle left_foot: foot -0.06 -0.22 0.69
left_small_toe left_ankle left_foot: foot 0.17 -0.24 0.53
left_heel left_ankle left_foot: foot 0 -0.18 -0.30
""",
    # Trunk and arm bend forwards, to the left and inwards; a hanging arm with
    # pronate 0 has its thumb in front, plane 90 raises it sideways.
    limits="""
trunk: bend -20 80, side -25 25, twist -35 35
head: head_yaw -65 65, head_pitch -35 40, head_roll -22 22
arm: raise 0 175, plane -35 125, turn -40 90, elbow 3 148
hand: pronate -75 85, wrist -45 55
leg: flex -25 125, spread -8 50, hip_turn -20 45, knee 2 145
foot: ankle -20 50, toe_out -8 25
""",
)


@dataclass(frozen=True)
class Body:
    """The build of a person, in statures."""

    stature: float  # height relative to that of an average adult
    head: float  # height of the head from chin to crown
    shoulder: float  # from the middle of the chest to a shoulder joint
    hip: float  # from the middle of the pelvis to a hip joint
    torso: float  # from the hip joints to the shoulder joints
    upper_arm: float
    forearm: float
    hand: float  # wrist to the tip of the middle finger
    thigh: float
    shin: float
    foot: float  # heel to big toe
    girth: float  # factor on the thickness of trunk and limbs
    waist: float  # factor on the width of the waist

    def solve(
        self, angles: dict[str, float], root: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return joints and frames of this body; see ``Skeleton.solve``."""
        lengths = {**asdict(self), 'unit': 1.0}
        for side in ('left', 'right'):  # a raised arm lifts the shoulder
            share = angles[f'{side}_raise'] / math.pi
            lengths[f'{side}_shrug'] = share**2
        return SKELETON.solve({**angles, 'nape': 0.22}, lengths, root)


def sample_body(rng: Rng) -> Body:
    """Draw a build: man, woman or child; slim or stout."""
    kind = rng.random()
    # How grown up: 1 for adults, 0 for a child of about four years.
    grown = 1.0 if kind < 0.85 else rng.uniform(0.1, 0.9)
    female = rng.random() < 0.5
    n = np.clip(rng.normal(size=10), -2, 2)
    girth = (0.95 if female else 1.02) * math.exp(0.14 * n[0])
    leg = (0.94 + 0.06 * grown) * (1 + 0.03 * n[1])
    arm = (0.95 + 0.05 * grown) * (1 + 0.03 * n[2])
    return Body(
        stature=(0.62 + 0.38 * grown)
        * (0.96 if female else 1.03)
        * (1 + 0.04 * n[3]),
        head=(0.132 + 0.055 * (1 - grown)) * (1 + 0.03 * n[4]),
        shoulder=(0.096 if female else 0.108) * (1 + 0.05 * n[5]),
        hip=(0.054 if female else 0.050) * (1 + 0.05 * n[6]),
        torso=0.285 * (1 + 0.03 * n[7]),
        upper_arm=0.168 * arm,
        forearm=0.145 * arm,
        hand=0.104 * (1 + 0.04 * n[8]),
        thigh=0.240 * leg,
        shin=0.238 * leg,
        foot=0.148 * (1 + 0.04 * n[9]),
        girth=girth,
        waist=(0.86 if female else 0.97) * (0.8 + 0.2 * girth),
    )


def sample_root(rng: Rng, pose: str, frontal: bool = False) -> Array:
    """Draw the rotation from the pelvis frame to the camera frame, (3, 3).

    All views occur, the front most often, then the sides and the back; only
    the front if ``frontal``. Lying people are seen from elsewhere.
    """
    view = 0.0 if frontal else rng.random()
    if view < 0.48:
        yaw = rng.normal(0, 25)
    elif view < 0.72:
        yaw = (90 if rng.random() < 0.5 else -90) + rng.normal(0, 20)
    elif view < 0.90:
        yaw = 180 + rng.normal(0, 25)
    else:
        yaw = rng.uniform(-180, 180)
    pitch = math.radians(min(max(rng.normal(7, 8), -12), 32))
    roll = math.radians(min(max(rng.normal(0, 3.5), -10), 10))
    camera = rot_z(roll) @ rot_x(pitch)
    root = rot_y(math.radians(yaw))
    if pose == 'lie':
        # On the back, the belly or the side; seen from beside and above.
        about = rot_y(math.radians(rng.choice([0, 90, 180, 270])))
        down = rot_z(math.radians(90 if rng.random() < 0.5 else -90))
        heading = rot_y(math.radians(rng.normal(0, 25)))
        tilt = rot_x(math.radians(rng.uniform(10, 45)))
        return camera @ tilt @ heading @ down @ about
    if pose == 'jump':
        root = root @ rot_z(math.radians(rng.normal(0, 8)))
    if pose == 'squat':
        root = root @ rot_x(math.radians(rng.normal(10, 5)))
    return camera @ root


# Knuckle (towards the thumb, along the hand) and lengths of the three bones
# of index, middle, ring and little finger, in lengths of the hand.
_FINGERS = (
    (0.185, 0.49, (0.22, 0.13, 0.10)),
    (0.060, 0.51, (0.24, 0.15, 0.10)),
    (-0.065, 0.48, (0.22, 0.14, 0.10)),
    (-0.180, 0.42, (0.17, 0.10, 0.09)),
)


def hand_points(curls: list[float], spread: float) -> Array:
    """Return the 21 points of a left hand in its frame, (21, 3).

    Args:
        curls: Of the five fingers from the thumb on, radians.
        spread: Angle between neighbouring fingers, radians.

    Returns:
        Points from the wrist, in lengths of the hand; the palm faces -x, the
        fingers point to -y, the thumb to z.
    """
    # Here (towards the thumb, along, out of the palm).
    points = [np.zeros(3), np.array([0.13, 0.13, 0.03])]
    for length, angle in ((0.20, 0.75), (0.15, 0.5), (0.13, 0.35)):
        angle = angle - 1.1 * curls[0] + spread
        out = 0.25 + 0.5 * math.sin(curls[0])
        step = np.array((math.sin(angle), math.cos(angle), out))
        points.append(points[-1] + step * (length / math.sqrt(step @ step)))
    for number, (across, knuckle, bones) in enumerate(_FINGERS):
        fan, angle = spread * (1.3 - number), 0.0
        points.append(np.array([across, knuckle, 0.0]))
        for length, share in zip(bones, (0.9, 1.15, 0.8), strict=True):
            angle += share * curls[number + 1]
            along = length * math.cos(angle)
            step = (math.sin(fan) * along, math.cos(fan) * along,
                    length * math.sin(angle))  # fmt: skip
            points.append(points[-1] + step)
    return np.stack(points)[:, [2, 1, 0]] * (-1, -1, 1)

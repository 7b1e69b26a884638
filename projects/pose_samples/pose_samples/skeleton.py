"""Bodies, and where their joints are in space.

Lengths are in statures (a standing adult is 1 high). A body frame has x to
the person's left, y up and z out of the chest; the camera's frame has x to
the right of the image, y up and z towards the viewer. A person who faces the
camera without any turn has both frames equal, hence shows the own left at the
right of the image.
"""

import math
from dataclasses import dataclass

import numpy as np

from .poses import SIDES, Pose


def rot_x(angle: float) -> np.ndarray:
    """Return the turn that leads y towards z; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def rot_y(angle: float) -> np.ndarray:
    """Return the turn that leads z towards x; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def rot_z(angle: float) -> np.ndarray:
    """Return the turn that leads x towards y; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


@dataclass(frozen=True)
class Body:
    """The build of a person, in statures; ``girth`` scales all thicknesses.

    Args:
        stature: Height relative to that of an average adult.
        head: Height of the head from chin to crown.
        shoulder: From the middle of the chest to a shoulder joint.
        hip: From the middle of the pelvis to a hip joint.
        torso: From the hip joints to the shoulder joints.
        upper_arm: Shoulder to elbow.
        forearm: Elbow to wrist.
        hand: Wrist to the tip of the middle finger.
        thigh: Hip to knee.
        shin: Knee to ankle.
        foot: Heel to big toe.
        girth: Factor on the thickness of trunk and limbs.
        waist: Factor on the width of the waist.
    """

    stature: float
    head: float
    shoulder: float
    hip: float
    torso: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shin: float
    foot: float
    girth: float
    waist: float


def sample_body(rng: np.random.Generator) -> Body:
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


def sample_root(
    rng: np.random.Generator, pose: Pose, frontal: bool = False
) -> np.ndarray:
    """Draw how the pelvis is turned to the camera.

    Args:
        rng: Source of randomness.
        pose: Lying people are seen from elsewhere than standing ones.
        frontal: Whether the person faces the viewer; else all views occur,
            the front most often, then the sides and the back.

    Returns:
        Rotation from the pelvis frame to the camera frame, (3, 3).
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
    if pose.name == 'lie':
        # On the back, the belly or the side; seen from beside and above.
        about = rot_y(math.radians(rng.choice([0, 90, 180, 270])))
        down = rot_z(math.radians(90 if rng.random() < 0.5 else -90))
        heading = rot_y(math.radians(rng.normal(0, 25)))
        tilt = rot_x(math.radians(rng.uniform(10, 45)))
        return camera @ tilt @ heading @ down @ about
    if pose.name == 'jump':
        root = root @ rot_z(math.radians(rng.normal(0, 8)))
    if pose.name == 'squat':
        root = root @ rot_x(math.radians(rng.normal(10, 5)))
    return camera @ root


@dataclass
class Joints:
    """Positions in the camera's frame and the frames of the rigid parts.

    Args:
        points: Position of each named joint, (3,), in statures.
        frames: Axes (columns) of pelvis, chest, head and feet, (3, 3).
        hands: The 21 points of each hand from the wrist on, (21, 3).
        palms: Direction out of each palm, (3,).
    """

    points: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]
    hands: dict[str, np.ndarray]
    palms: dict[str, np.ndarray]


def solve(body: Body, pose: Pose, root: np.ndarray) -> Joints:
    """Walk along the skeleton and return where everything is.

    Args:
        body: Lengths of the bones.
        pose: Angles of the joints.
        root: Pelvis to camera, (3, 3).

    Returns:
        The joints; the pelvis is the origin.
    """
    trunk = pose.trunk
    bend = (
        rot_x(trunk['bend'] / 2)
        @ rot_z(-trunk['side'] / 2)
        @ rot_y(trunk['twist'] / 2)
    )
    spine = root @ bend
    chest = spine @ bend
    waist = root @ (0.0, 0.35 * body.torso, 0.0)
    ribs = waist + spine @ (0.0, 0.25 * body.torso, 0.0)
    neck = ribs + chest @ (0.0, 0.45 * body.torso, -0.008)
    nod = (
        rot_y(trunk['head_yaw'] / 2)
        @ rot_x((trunk['head_pitch'] - 0.55 * trunk['bend']) / 2)
        @ rot_z(trunk['head_roll'] / 2)
    )
    nape = chest @ rot_x(0.22) @ nod
    skull = chest @ nod @ nod
    upper_neck = neck + nape @ (0.0, 0.036, 0.0)
    # The middle of the head lies half a head above the chin.
    head = upper_neck + skull @ (0.0, 0.40 * body.head, 0.10 * body.head)

    points = {
        'pelvis': np.zeros(3),
        'waist': waist,
        'ribs': ribs,
        'neck': neck,
        'upper_neck': upper_neck,
        'head': head,
        'head_top': head + skull @ (0.0, 0.5 * body.head, 0.0),
    }
    frames = {'pelvis': root, 'spine': spine, 'chest': chest, 'head': skull}
    hands, palms = {}, {}
    for side, sign in SIDES.items():
        # Limbs are solved as left ones and mirrored for the right.
        mirror = np.array([sign, 1.0, 1.0])
        angles = pose.limbs[side]
        arm, palm, hand = _solve_arm(body, angles, pose, side)
        origin = ribs + chest @ (
            sign * body.shoulder,
            0.40 * body.torso + 0.035 * (angles['raise'] / math.pi) ** 2,
            0.0,
        )
        arm = origin + (arm * mirror) @ chest.T
        points[f'{side}_shoulder'] = origin
        points[f'{side}_elbow'], points[f'{side}_wrist'] = arm
        hands[side] = points[f'{side}_wrist'] + (hand * mirror) @ chest.T
        palms[side] = chest @ (palm * mirror)

        leg, foot = _solve_leg(body, angles)
        origin = root @ (sign * body.hip, 0.0, 0.0)
        leg = origin + (leg * mirror) @ root.T
        points[f'{side}_hip'] = origin
        points[f'{side}_knee'], points[f'{side}_ankle'] = leg
        # A mirrored frame: x of a foot always points outwards.
        frames[f'{side}_foot'] = root @ (mirror[:, None] * foot)
    points['thorax'] = (points['left_shoulder'] + points['right_shoulder']) / 2
    return Joints(points, frames, hands, palms)


def _solve_arm(
    body: Body, angles: dict[str, float], pose: Pose, side: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return elbow and wrist (2, 3), palm (3,) and hand (21, 3) of an arm.

    All as of a left arm in the chest's frame; elbow and wrist from the
    shoulder, the hand from the wrist.
    """
    theta, phi = angles['raise'], angles['plane']
    upper = np.array(
        [
            math.sin(theta) * math.sin(phi),
            -math.cos(theta),
            math.sin(theta) * math.cos(phi),
        ]
    )
    # The shortest turn from hanging to ``upper`` carries the arm's axes.
    carry = rot_y(phi) @ rot_x(-theta) @ rot_y(-phi)
    turn = rot_y(-angles['turn'])
    front, outer = (carry @ turn)[:, 2], (carry @ turn)[:, 0]

    bend = angles['elbow']
    fore = math.cos(bend) * upper + math.sin(bend) * front
    elbow = body.upper_arm * upper
    wrist = elbow + body.forearm * fore

    roll, flex = angles['pronate'], angles['wrist']
    below = np.cross(outer, fore)
    palm = -math.cos(roll) * outer + math.sin(roll) * below
    along = math.cos(flex) * fore + math.sin(flex) * palm
    palm = math.cos(flex) * palm - math.sin(flex) * fore
    hand = _solve_hand(along, palm, pose.fingers[side], pose.spread[side])
    return np.stack([elbow, wrist]), palm, body.hand * hand


# Knuckle (towards the thumb, along the hand) and lengths of the three bones
# of index, middle, ring and little finger, in lengths of the hand.
_FINGERS = (
    (0.185, 0.49, (0.22, 0.13, 0.10)),
    (0.060, 0.51, (0.24, 0.15, 0.10)),
    (-0.065, 0.48, (0.22, 0.14, 0.10)),
    (-0.180, 0.42, (0.17, 0.10, 0.09)),
)


def _solve_hand(
    along: np.ndarray, palm: np.ndarray, curls: list[float], spread: float
) -> np.ndarray:
    """Return the 21 points of a left hand from the wrist, (21, 3)."""
    thumb = np.cross(palm, along)
    points = [np.zeros(3)]
    # Local axes: (towards the thumb, along, out of the palm).
    axes = np.stack([thumb, along, palm])
    curl = curls[0]
    place = np.array([0.13, 0.13, 0.03])
    points.append(place)
    for length, angle in ((0.20, 0.75), (0.15, 0.5), (0.13, 0.35)):
        angle = angle - 1.1 * curl + spread
        step = (math.sin(angle), math.cos(angle), 0.25 + 0.5 * math.sin(curl))
        norm = math.sqrt(sum(v * v for v in step))
        place = place + np.array(step) * (length / norm)
        points.append(place)
    for number, (across, knuckle, bones) in enumerate(_FINGERS):
        curl = curls[number + 1]
        fan = spread * (1.3 - number)
        place = np.array([across, knuckle, 0.0])
        points.append(place)
        angle = 0.0
        for length, share in zip(bones, (0.9, 1.15, 0.8), strict=True):
            angle += share * curl
            place = place + length * np.array(
                [
                    math.sin(fan) * math.cos(angle),
                    math.cos(fan) * math.cos(angle),
                    math.sin(angle),
                ]
            )
            points.append(place)
    points[0] = np.zeros(3)
    return np.stack(points) @ axes


def _solve_leg(
    body: Body, angles: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return knee and ankle (2, 3) from the hip and the foot's frame (3, 3).

    As of a left leg, in the pelvis' frame.
    """
    frame = (
        rot_z(angles['spread'])
        @ rot_x(-angles['flex'])
        @ rot_y(angles['hip_turn'])
    )
    knee = -body.thigh * frame[:, 1]
    frame = frame @ rot_x(angles['knee'])
    ankle = knee - body.shin * frame[:, 1]
    foot = frame @ rot_y(angles['toe_out']) @ rot_x(angles['ankle'])
    return np.stack([knee, ankle]), foot

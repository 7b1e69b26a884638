"""Numbers of the body's parts and of the keypoints that lie on them."""

from enum import IntEnum

import numpy as np

from .skeleton import SIDES


class Part(IntEnum):
    """What a pixel of a person shows; 0 is nothing."""

    CHEST = 1
    PELVIS = 2
    SKIRT = 3
    NECK = 4
    HEAD = 5
    HAIR = 6
    LEFT = 8  # the first of the left limbs' parts
    RIGHT = 24


# Added to ``Part.LEFT`` or ``Part.RIGHT``.
LIMB_PARTS = ('upper_arm', 'forearm', 'palm', 'thumb', 'index', 'middle',
              'ring', 'little', 'thigh', 'shin', 'foot')  # fmt: skip
FINGERS = LIMB_PARTS[3:8]
PARTS_PER_FIGURE = 64


def limb_part(side: str, name: str) -> int:
    """Return the number of a limb's part.

    Example:
        >>> limb_part('right', 'upper_arm')
        24
    """
    first = Part.LEFT if side == 'left' else Part.RIGHT
    return int(first) + LIMB_PARTS.index(name)


BODY_KEYPOINTS = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear',
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow',
    'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip
FOOT_KEYPOINTS = tuple(
    f'{side}_{name}' for side in SIDES
    for name in ('big_toe', 'small_toe', 'heel')
)  # fmt: skip
FACE_KEYPOINTS = tuple(f'face_{i}' for i in range(68))
HAND_KEYPOINTS = {
    side: tuple(f'{side}_hand_{i}' for i in range(21)) for side in SIDES
}
# Of MPII, AIC and CrowdPose.
EXTRA_KEYPOINTS = ('pelvis', 'thorax', 'neck', 'upper_neck', 'head_top')

KEYPOINTS = (
    BODY_KEYPOINTS + FOOT_KEYPOINTS + FACE_KEYPOINTS
    + HAND_KEYPOINTS['left'] + HAND_KEYPOINTS['right'] + EXTRA_KEYPOINTS
)  # fmt: skip
KEYPOINT_INDEX = {name: i for i, name in enumerate(KEYPOINTS)}
NUM_WHOLEBODY = len(KEYPOINTS) - len(EXTRA_KEYPOINTS)


def _hosts(name: str) -> set[int]:
    """Return the parts that show a keypoint when they lie on top of it."""
    trunk = {Part.CHEST, Part.PELVIS, Part.SKIRT}
    fixed = {
        'pelvis': trunk,
        'thorax': {Part.CHEST, Part.NECK},
        'neck': {Part.CHEST, Part.NECK},
        'upper_neck': {Part.NECK, Part.HEAD},
        'head_top': {Part.HEAD, Part.HAIR},
    }
    if name in fixed:
        return fixed[name]
    side, _, joint = name.partition('_')
    if side not in SIDES or joint in ('eye', 'ear'):
        return {Part.HEAD}
    if joint.startswith('hand_'):
        number = int(joint[5:])
        if number == 0:
            return {limb_part(side, p) for p in ('palm', 'forearm')}
        finger = limb_part(side, FINGERS[(number - 1) // 4])
        # Knuckles, and the root of the thumb, belong to the palm, too.
        knuckle = number % 4 == 1 or number == 2
        return {finger} | ({limb_part(side, 'palm')} if knuckle else set())
    own = {
        'shoulder': ('upper_arm',),
        'elbow': ('upper_arm', 'forearm'),
        'wrist': ('forearm', 'palm'),
        'hip': ('thigh',),
        'knee': ('thigh', 'shin'),
        'ankle': ('shin', 'foot'),
    }.get(joint, ('foot',))
    parts = {limb_part(side, part) for part in own}
    if joint == 'shoulder':
        parts.add(Part.CHEST)
    if joint == 'hip':
        parts |= trunk
    if joint == 'knee':
        parts.add(Part.SKIRT)
    return parts


HOSTS = np.zeros((len(KEYPOINTS), PARTS_PER_FIGURE), bool)
for _name, _index in KEYPOINT_INDEX.items():
    HOSTS[_index, sorted(_hosts(_name))] = True

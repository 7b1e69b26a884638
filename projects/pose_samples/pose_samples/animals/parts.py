"""Numbers of an animal's parts, and its keypoints as in AP-10K.

Where AP-10K puts a keypoint is not always what its name says. Its annotators
marked "shoulder" where the fore leg leaves the trunk (the anatomical elbow)
and "elbow" at the middle of the leg (the carpus); "hip" at the flank (the
anatomical knee) and "knee" at the hock. Here keypoints lie where they are in
that data set, and joints have their anatomical names.
"""

from enum import IntEnum

import numpy as np

from ..parts import PARTS_PER_PERSON
from ..poses import SIDES


class Part(IntEnum):
    """What a pixel of an animal shows; 0 is nothing."""

    TRUNK = 1
    NECK = 2
    HEAD = 3
    EAR = 4
    HORN = 5
    MANE = 6
    TAIL = 7
    LEFT = 8  # the first of the left legs' parts
    RIGHT = 16


# Added to ``Part.LEFT`` or ``Part.RIGHT``.
LEG_PARTS = ('upper_arm', 'forearm', 'fore_paw', 'thigh', 'shin', 'hind_paw')


def leg_part(side: str, name: str) -> int:
    """Return the number of a leg's part.

    Example:
        >>> leg_part('right', 'thigh')
        19
    """
    first = Part.LEFT if side == 'left' else Part.RIGHT
    return int(first) + LEG_PARTS.index(name)


KEYPOINTS = (
    'left_eye', 'right_eye', 'nose', 'neck', 'root_of_tail',
    'left_shoulder', 'left_elbow', 'left_front_paw',
    'right_shoulder', 'right_elbow', 'right_front_paw',
    'left_hip', 'left_knee', 'left_back_paw',
    'right_hip', 'right_knee', 'right_back_paw',
)  # fmt: skip
KEYPOINT_INDEX = {name: i for i, name in enumerate(KEYPOINTS)}

# Keypoint: (joint of ``figure.Legs``, parts that show it on top).
LEG_KEYPOINTS = {
    'shoulder': ('elbow', ('upper_arm', 'forearm')),
    'elbow': ('carpus', ('forearm', 'fore_paw')),
    'front_paw': ('fore_paw', ('fore_paw',)),
    'hip': ('stifle', ('thigh', 'shin')),
    'knee': ('hock', ('shin', 'hind_paw')),
    'back_paw': ('hind_paw', ('hind_paw',)),
}

HOSTS = np.zeros((len(KEYPOINTS), PARTS_PER_PERSON), bool)
for _name in ('left_eye', 'right_eye', 'nose'):
    HOSTS[KEYPOINT_INDEX[_name], Part.HEAD] = True
HOSTS[KEYPOINT_INDEX['neck'], [Part.NECK, Part.TRUNK, Part.MANE]] = True
HOSTS[KEYPOINT_INDEX['root_of_tail'], [Part.TRUNK, Part.TAIL]] = True
for _side in SIDES:
    # The mass of shoulders and thighs rises to the line of the back.
    HOSTS[KEYPOINT_INDEX['neck'], leg_part(_side, 'upper_arm')] = True
    HOSTS[KEYPOINT_INDEX['root_of_tail'], leg_part(_side, 'thigh')] = True
    for _name, (_, _parts) in LEG_KEYPOINTS.items():
        _columns = [leg_part(_side, part) for part in _parts]
        HOSTS[KEYPOINT_INDEX[f'{_side}_{_name}'], _columns] = True

# Annotators of AP-10K leave out an eye on the far side of the head, whereas
# they guess where other hidden keypoints are.
UNGUESSED = np.zeros(len(KEYPOINTS), bool)
UNGUESSED[:2] = True

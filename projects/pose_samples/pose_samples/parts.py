"""Numbers of people's parts, and the keypoints that lie on them."""

import numpy as np

from .skeleton import SIDES

PARTS_PER_FIGURE = 64
FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')
_LIMBS = ('upper_arm', 'forearm', 'palm', *FINGERS, 'thigh', 'shin', 'foot')
#: What a pixel of a person shows; 0 is nothing.
PARTS = {'chest': 1, 'pelvis': 2, 'skirt': 3, 'neck': 4, 'head': 5, 'hair': 6}
for _side, _first in (('left', 8), ('right', 24)):
    PARTS |= {f'{_side}_{n}': _first + i for i, n in enumerate(_LIMBS)}

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

# Parts that show a keypoint when they lie on top of it; limbs are those of the
# keypoint's side. The head shows all other keypoints.
_HOSTS = {
    'pelvis': 'chest pelvis skirt',
    'thorax': 'chest neck',
    'neck': 'chest neck',
    'upper_neck': 'neck head',
    'head_top': 'head hair',
    'shoulder': 'upper_arm chest',
    'elbow': 'upper_arm forearm',
    'wrist': 'forearm palm',
    'hip': 'thigh chest pelvis skirt',
    'knee': 'thigh shin skirt',
    'ankle': 'shin foot',
    'big_toe': 'foot',
    'small_toe': 'foot',
    'heel': 'foot',
    'hand_0': 'palm forearm',
}
for _i in range(1, 21):
    # Knuckles and the root of the thumb also belong to the palm.
    _palm = ' palm' if _i % 4 == 1 or _i == 2 else ''
    _HOSTS[f'hand_{_i}'] = FINGERS[(_i - 1) // 4] + _palm

HOSTS = np.zeros((len(KEYPOINTS), PARTS_PER_FIGURE), bool)
for _name, _index in KEYPOINT_INDEX.items():
    _side, _, _joint = _name.partition('_')
    _joint = _joint if _side in SIDES else _name
    for _part in _HOSTS.get(_joint, 'head').split():
        _number = PARTS.get(_part) or PARTS[f'{_side}_{_part}']
        HOSTS[_index, _number] = True

# Keypoints of the set `mirror_mouse`: a side view and one from below. A mirror
# exchanges the paws of the two sides.
_paws = ['paw1LH', 'paw2LF', 'paw3RF', 'paw4RH']
_names = [
    *(f'{paw}_top' for paw in _paws), 'tailBase_top', 'tailMid_top',
    'nose_top', 'obs_top', *(f'{paw}_bot' for paw in _paws), 'tailBase_bot',
    'tailMid_bot', 'nose_bot', 'obsHigh_bot', 'obsLow_bot'
]


def _swap(name):
    """Return the paw of the other side, '' if it is no paw."""
    paw, view = name.split('_')
    return f'{_paws[3 - _paws.index(paw)]}_{view}' if paw in _paws else ''


dataset_info = dict(
    dataset_name='mirror_mouse',
    paper_info=dict(title='lightning-pose, mirror-mouse-example (MIT)'),
    keypoint_info={
        i: dict(name=name, id=i, color=[51, 153, 255], type='',
                swap=_swap(name))
        for i, name in enumerate(_names)
    },
    skeleton_info={},
    joint_weights=[1.0] * len(_names),
    sigmas=[0.05] * len(_names))

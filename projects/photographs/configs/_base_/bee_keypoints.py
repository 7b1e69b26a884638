# Keypoints of the set `bee`: head, body, wings, six legs of four points.
_legs = [
    f'{side}_leg_{place}_{i}' for side in ('right', 'left')
    for place in ('front', 'middle', 'back') for i in range(1, 5)
]
_names = [
    'head_front', 'head_left', 'head_right', 'head_back', 'body_center',
    'body_back', 'wing_left', 'wing_right', *_legs
]


def _swap(name):
    """Return the name of the other side, '' if there is none."""
    sides = dict(left='right', right='left')
    words = [sides.get(word, word) for word in name.split('_')]
    other = '_'.join(words)
    return '' if other == name else other


dataset_info = dict(
    dataset_name='bee',
    paper_info=dict(title='apic.ai bee pose dataset (CC BY-NC-SA 4.0)'),
    keypoint_info={
        i: dict(name=name, id=i, color=[51, 153, 255], type='',
                swap=_swap(name))
        for i, name in enumerate(_names)
    },
    skeleton_info={},
    joint_weights=[1.0] * len(_names),
    sigmas=[0.05] * len(_names))

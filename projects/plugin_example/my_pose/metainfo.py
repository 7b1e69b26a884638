"""The skeleton, in mmpose's format: names, colors, swap pairs, sigmas."""

#: Each keypoint, and the one that takes its place in a mirrored picture.
swaps = {
    'nose': '',
    'left_wrist': 'right_wrist',
    'right_wrist': 'left_wrist',
    'left_ankle': 'right_ankle',
    'right_ankle': 'left_ankle',
}
dataset_info = dict(
    dataset_name='five_points',
    paper_info=dict(),
    keypoint_info={
        i: dict(name=name, id=i, color=[51, 153, 255], type='', swap=swap)
        for i, (name, swap) in enumerate(swaps.items())
    },
    skeleton_info={
        i: dict(link=('nose', name), id=i, color=[0, 255, 0])
        for i, name in enumerate(swaps)
        if name != 'nose'
    },
    joint_weights=[1.0] * len(swaps),
    sigmas=[0.05] * len(swaps),
)

# One group of all keypoints, no masks.
_base_ = './gtpt-t_1xb8-30e_bee-128x128.py'

model = dict(
    backbone=dict(
        type='UngroupedGTPT',
        keypoint_groups=[
            dict(
                sparse=[*range(8), 8, 12, 16, 20, 24, 28],
                parts=[[i + 1, i + 2, i + 3]
                       for i in (8, 12, 16, 20, 24, 28)])
        ]))

# GTPT-T for the 17 COCO keypoints; input size and codec come from the config.
model = dict(
    type='TopdownPoseEstimator',
    backbone=dict(
        type='GTPT',
        arch='tiny',
        keypoint_groups=[
            dict(sparse=list(range(0, 5))),  # head
            dict(sparse=list(range(5, 11))),  # upper body
            dict(sparse=list(range(11, 17))),  # lower body
        ],
        keep_rates=(1.0, 0.7, 0.3, 0.1)),
    head=dict(
        type='GTPTHead',
        in_channels=128,
        out_channels=17,
        loss=dict(type='GlobalPerceivedLoss')),
    test_cfg=dict(flip_test=True, shift_heatmap=True))

# GTPT-T for the 133 COCO-WholeBody keypoints: the 17 of the body are sparse,
# the others develop from part tokens inside the group that they belong to.
model = dict(
    type='TopdownPoseEstimator',
    backbone=dict(
        type='GTPT',
        arch='tiny',
        keypoint_groups=[
            dict(  # head
                sparse=list(range(0, 5)),
                parts=[list(range(23, 91))]),  # face
            dict(  # upper body
                sparse=list(range(5, 11)),
                parts=[
                    list(range(91, 112)),  # left hand
                    list(range(112, 133)),  # right hand
                ]),
            dict(  # lower body
                sparse=list(range(11, 17)),
                parts=[
                    list(range(17, 20)),  # left foot
                    list(range(20, 23)),  # right foot
                ]),
        ],
        keep_rates=(1.0, 0.7, 0.5, 0.3)),
    head=dict(
        type='GTPTHead',
        in_channels=128,
        out_channels=133,
        loss=dict(type='GlobalPerceivedLoss')),
    test_cfg=dict(flip_test=True, shift_heatmap=True))

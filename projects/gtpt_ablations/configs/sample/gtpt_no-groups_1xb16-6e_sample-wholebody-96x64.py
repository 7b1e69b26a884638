# Without groups and masks: one group of all keypoints.
_base_ = './gtpt_1xb16-6e_sample-wholebody-96x64.py'

model = dict(
    backbone=dict(
        type='UngroupedGTPT',
        keypoint_groups=[
            dict(
                sparse=list(range(17)),
                parts=[
                    list(range(23, 91)),  # face
                    list(range(91, 112)),  # left hand
                    list(range(112, 133)),  # right hand
                    list(range(17, 20)),  # left foot
                    list(range(20, 23)),  # right foot
                ])
        ]))

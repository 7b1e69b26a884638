# Table 5: two layers that detect humans, then four that predict poses.
_base_ = './_base_/group-pose_res50.py'

model = dict(
    head=dict(
        type='HumanGroupPoseHead',
        human_decoder=dict(num_layers=2),
        decoder=dict(num_layers=4)))

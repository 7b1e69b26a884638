# Table 5: two layers that detect humans, then four that predict poses.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(
    head=dict(human_decoder=dict(num_layers=2), decoder=dict(num_layers=4)))

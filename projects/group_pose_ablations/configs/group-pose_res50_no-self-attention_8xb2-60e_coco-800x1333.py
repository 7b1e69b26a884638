# Text of Table 4e: neither self-attention.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(head=dict(decoder=dict(with_within=False, across=())))

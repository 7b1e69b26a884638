# Table 4d: one self-attention over all queries.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(head=dict(decoder=dict(self_attn='standard')))

# Table 4c: 200 instances.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(head=dict(num_queries=200))

# Table 4a: one query for each person, which moves all its keypoints.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(head=dict(decoder=dict(query_types=('instance', ))))

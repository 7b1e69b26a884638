# Table 4b: there are instance queries, but the mean of the keypoint queries
# is scored.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(head=dict(decoder=dict(score_from='keypoint')))

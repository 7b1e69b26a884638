# Table 4a, 4b: no instance queries; the mean of the keypoint queries is
# scored.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(
    head=dict(
        decoder=dict(query_types=('keypoint', ), score_from='keypoint')))

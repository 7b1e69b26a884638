# Table 4b: there are instance queries, but the mean of the keypoint queries
# is scored.
_base_ = (
    '../../../configs/body_2d_keypoint/group_pose/coco/'
    'group-pose_res50_8xb2-60e_coco-800x1333.py')

model = dict(head=dict(decoder=dict(score_from='keypoint')))

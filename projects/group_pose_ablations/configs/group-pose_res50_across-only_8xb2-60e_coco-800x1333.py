# Table 4e: no attention within instances.
_base_ = (
    '../../../configs/body_2d_keypoint/group_pose/coco/'
    'group-pose_res50_8xb2-60e_coco-800x1333.py')

model = dict(head=dict(decoder=dict(with_within=False)))

# Table 5: two layers that detect humans, then four that predict poses.
_base_ = (
    '../../../configs/body_2d_keypoint/group_pose/coco/'
    'group-pose_res50_8xb2-60e_coco-800x1333.py')

model = dict(
    head=dict(human_decoder=dict(num_layers=2), decoder=dict(num_layers=4)))
